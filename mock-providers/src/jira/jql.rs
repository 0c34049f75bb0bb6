//! The little of JQL that is needed to find an issue by a mark.

use super::{Issue, tracker::Tracker};

/// The issues that a query finds, the oldest first; `Err` is what Jira says of a query that it,
/// or this stand-in, does not understand.
pub(super) fn find<'t>(tracker: &'t Tracker, jql: &str) -> Result<Vec<&'t Issue>, String> {
    let (condition, _) = split_word(jql, "ORDER BY").unwrap_or((jql, ""));
    let mut clauses = Vec::new();
    let mut rest = condition.trim();
    while !rest.is_empty() {
        let (clause, after) = split_word(rest, "AND").unwrap_or((rest, ""));
        clauses.push(Clause::read(clause.trim())?);
        rest = after.trim();
    }
    let fits = |issue: &&Issue| clauses.iter().all(|clause| clause.fits(tracker, issue));
    Ok(tracker.issues.iter().filter(fits).collect())
}

/// Splits at a word that stands outside quotes, whatever its case.
fn split_word<'q>(text: &'q str, word: &str) -> Option<(&'q str, &'q str)> {
    let mut quoted = false;
    for (at, letter) in text.char_indices() {
        quoted ^= letter == '"';
        let here = text.get(at..at + word.len()).is_some_and(|t| t.eq_ignore_ascii_case(word));
        let alone = text[..at].ends_with([' ', ')']) || at == 0;
        if here && !quoted && alone {
            return Some((&text[..at], &text[at + word.len()..]));
        }
    }
    None
}

#[derive(Debug)]
struct Clause {
    field: String,
    values: Vec<String>,
}

impl Clause {
    fn read(text: &str) -> Result<Self, String> {
        let unclear = || format!("Error in the JQL Query: {text:?} is not understood.");
        let (field, values) = match text.split_once('=') {
            Some((field, value)) if !field.ends_with(['!', '<', '>']) => (field, vec![value]),
            _ => {
                let (field, list) = split_word(text, "in").ok_or_else(unclear)?;
                let list = list.trim().strip_prefix('(').and_then(|list| list.strip_suffix(')'));
                (field, list.ok_or_else(unclear)?.split(',').collect())
            }
        };
        let field = field.trim().trim_matches('"').to_owned();
        let values = values.into_iter().map(|v| v.trim().trim_matches('"').to_owned()).collect();
        let known = ["labels", "project", "key", "id", "issuekey"];
        match known.contains(&field.as_str()) || property(&field).is_some() {
            true => Ok(Self { field, values }),
            false => Err(format!(
                "Field '{field}' does not exist or you do not have permission to view it."
            )),
        }
    }

    fn fits(&self, tracker: &Tracker, issue: &Issue) -> bool {
        let any = |is: &dyn Fn(&str) -> bool| self.values.iter().any(|value| is(value));
        if let Some((key, path)) = property(&self.field) {
            let held = issue.properties.get(key).and_then(|held| held.pointer(&path));
            return any(&|value| held.and_then(|held| held.as_str()) == Some(value));
        }
        match self.field.as_str() {
            "labels" => any(&|value| issue.labels.iter().any(|label| label == value)),
            "project" => {
                any(&|value| tracker.project(value).is_some_and(|p| p.key == issue.project))
            }
            _ => any(&|value| issue.key == value || issue.id == value),
        }
    }
}

/// The key and the JSON pointer of `issue.property[key].path`.
fn property(field: &str) -> Option<(&str, String)> {
    let (key, path) = field.strip_prefix("issue.property[")?.split_once(']')?;
    Some((key, path.replace('.', "/")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_inside_quotes_are_not_operators() {
        assert_eq!(
            split_word("labels = \"rock and roll\" and project = SEC", "AND"),
            Some(("labels = \"rock and roll\" ", " project = SEC"))
        );
        assert!(Clause::read("labels = \"deptex-1\"").is_ok());
        assert!(Clause::read("project in (SEC, \"WEB\")").is_ok());
        assert!(Clause::read("issue.property[deptex.delivery].id = \"1\"").is_ok());
        assert!(Clause::read("summary ~ lodash").is_err());
        assert!(Clause::read("status != Done").is_err());
    }
}
