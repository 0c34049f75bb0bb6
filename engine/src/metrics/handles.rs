//! Handles for each word of a closed set: looked up once, so that counting costs one addition.

use std::sync::OnceLock;

use super::labels::OTHER;

type Make<H> = Box<dyn Fn(&'static str) -> H + Send + Sync>;

/// One handle for each word, made when the word is first used; one more for all other words.
pub(super) struct PerWord<H> {
    words: &'static [&'static str],
    handles: Vec<OnceLock<H>>,
    make: Make<H>,
}

impl<H> PerWord<H> {
    pub(super) fn new(
        words: &'static [&'static str],
        make: impl Fn(&'static str) -> H + Send + Sync + 'static,
    ) -> Self {
        let handles = (0..=words.len()).map(|_| OnceLock::new()).collect();
        Self { words, handles, make: Box::new(make) }
    }

    pub(super) fn of(&self, word: &str) -> &H {
        let place = self.words.iter().position(|known| *known == word);
        let place = place.unwrap_or(self.words.len());
        let name = self.words.get(place).copied().unwrap_or(OTHER);
        self.handles[place].get_or_init(|| (self.make)(name))
    }

    /// Makes the handles of all words.
    pub(super) fn begin(&self) {
        for word in self.words {
            self.of(word);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_has_one_handle_and_all_that_are_not_known_share_one() {
        let handles = PerWord::new(&["a", "b"], |word| word);
        for (word, label) in [("a", "a"), ("b", "b"), ("a", "a"), ("<script>", "other")] {
            assert_eq!(*handles.of(word), label);
        }
        assert!(std::ptr::eq(handles.of("x"), handles.of("y")));
    }
}
