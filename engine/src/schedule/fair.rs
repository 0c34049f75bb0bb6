//! Deficit round robin. A delivery is one request, so among equals a turn each is all there is to it;
//! where some have more weight, each may take as many in a turn as its weight says.

use std::collections::VecDeque;

/// Equals in the order of their turns. Whoever adds one sees to it that it stands here once.
#[derive(Debug)]
pub(super) struct Round<K>(VecDeque<K>);

impl<K> Default for Round<K> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<K: Copy + Eq> Round<K> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Lines up behind the others.
    pub(super) fn join(&mut self, key: K) {
        self.0.push_back(key);
    }

    /// Takes out whoever is no longer there.
    pub(super) fn keep(&mut self, is_there: impl Fn(&K) -> bool) {
        self.0.retain(is_there);
    }

    /// Whose turn it is. It must join again for another.
    pub(super) fn next(&mut self) -> Option<K> {
        self.0.pop_front()
    }

    /// Gives back a turn that was not used: it is the next again. `has_joined` says that it stands
    /// behind the others for another turn, usually as the last.
    pub(super) fn give_back(&mut self, key: K, has_joined: bool) {
        if has_joined {
            if self.0.back() == Some(&key) {
                self.0.pop_back();
            } else {
                self.0.retain(|other| *other != key);
            }
        }
        self.0.push_front(key);
    }
}

/// Turns of a few that have weights.
#[derive(Debug)]
pub(super) struct Weighted<const N: usize> {
    weights: [u32; N],
    at: usize,
    /// What is left of this turn.
    left: u32,
}

impl<const N: usize> Weighted<N> {
    pub(super) fn new(weights: [u32; N]) -> Self {
        Self { weights, at: 0, left: weights[0] }
    }

    /// Who goes next of those that have something. Whoever has nothing loses what is left of its turn.
    pub(super) fn next(&mut self, has: impl Fn(usize) -> bool) -> Option<usize> {
        // Once around, and the rest of the turn that it began with.
        for _ in 0..=N {
            if self.left > 0 && has(self.at) {
                self.left -= 1;
                return Some(self.at);
            }
            self.at = (self.at + 1) % N;
            self.left = self.weights[self.at];
        }
        None
    }

    /// Gives back what `next` gave last.
    pub(super) fn give_back(&mut self, one: usize) {
        if self.at == one {
            self.left += 1;
        } else {
            (self.at, self.left) = (one, 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_hold_while_all_have_something_and_nobody_waits_for_who_has_nothing() {
        let mut turns = Weighted::new([8, 2, 1]);
        let mut counts = [0; 3];
        for _ in 0..110 {
            counts[turns.next(|_| true).expect("all have something")] += 1;
        }
        assert_eq!(counts, [80, 20, 10]);
        for _ in 0..20 {
            assert_eq!(turns.next(|one| one == 2), Some(2));
        }
        assert_eq!(turns.next(|_| false), None);
    }

    #[test]
    fn a_turn_given_back_is_the_next() {
        let mut turns = Weighted::new([2, 1]);
        let order: Vec<_> = (0..3).filter_map(|_| turns.next(|_| true)).collect();
        assert_eq!(order, [0, 0, 1]);
        turns.give_back(1);
        assert_eq!(turns.next(|_| true), Some(1));
        assert_eq!(turns.next(|_| true), Some(0));

        let mut round = Round::default();
        for key in [1, 2, 3] {
            round.join(key);
        }
        let key = round.next().expect("three stand here");
        round.join(key);
        round.give_back(key, true);
        assert_eq!(
            [round.next(), round.next(), round.next(), round.next()],
            [Some(1), Some(2), Some(3), None]
        );
    }
}
