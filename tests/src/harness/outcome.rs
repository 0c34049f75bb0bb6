//! What became of the promises under one fault: checked here, and told to whoever draws up the table.

use std::{fmt::Display, fs::OpenOptions, io::Write as _, path::Path, time::Duration};

use serde_json::{Map, Value, json};

use super::ledger::Tally;

/// Where each fault leaves its lines, one file for each; unset, nothing is written.
const DIR: &str = "RELAY_FAULTS_DIR";

/// What was done to Relay, and what came of it.
#[derive(Debug)]
#[must_use = "an outcome is checked and written by `kept`"]
pub struct Outcome {
    fault: String,
    done: String,
    tally: Option<Tally>,
    measured: Vec<(String, String)>,
    recovered: Option<Duration>,
    seed: Option<u64>,
}

impl Outcome {
    /// A fault with no deliveries to count: what it [measures](Self::measured) is its outcome.
    pub fn of(fault: &str, done: &str) -> Self {
        Self {
            fault: fault.to_owned(),
            done: done.to_owned(),
            tally: None,
            measured: Vec::new(),
            recovered: None,
            seed: None,
        }
    }

    /// A figure that belongs to this fault, such as how many connections were left open. The test
    /// asserts it; this only tells it.
    pub fn measured(mut self, what: &str, value: impl Display) -> Self {
        self.measured.push((what.to_owned(), value.to_string()));
        self
    }

    /// How long it took from the fault until everything had arrived, or was as before.
    pub fn recovered(mut self, after: Duration) -> Self {
        self.recovered = Some(after);
        self
    }

    /// What the same course of events can be had by again.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Writes the line, and then fails the test unless nothing was lost, nothing unexpected came,
    /// and no more came twice than `duplicates_max`.
    pub fn kept(self, duplicates_max: usize) {
        if let Some(dir) = std::env::var_os(DIR) {
            self.write(Path::new(&dir), duplicates_max);
        }
        if let Some(tally) = self.tally {
            tally.assert_kept(duplicates_max);
        }
    }

    fn write(&self, dir: &Path, duplicates_max: usize) {
        let letter = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
        let name: String = self.fault.chars().map(letter).collect();
        std::fs::create_dir_all(dir).expect("the directory of outcomes can be made");
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(dir.join(format!("{name}.jsonl")))
            .expect("the directory of outcomes can be written");
        // One write for one line: other tests add theirs at the same time.
        let line = format!("{}\n", self.line(duplicates_max));
        file.write_all(line.as_bytes()).expect("the directory of outcomes can be written");
    }

    fn line(&self, duplicates_max: usize) -> Value {
        let measured: Map<String, Value> =
            self.measured.iter().map(|(what, value)| (what.clone(), json!(value))).collect();
        let mut line = json!({
            "fault": self.fault,
            "done": self.done,
            "test": std::thread::current().name(),
            "measured": measured,
            "recovered_ms": self.recovered.map(|after| after.as_millis()),
            "seed": self.seed,
        });
        if let Some(tally) = &self.tally {
            line["events"] = json!(tally.promised);
            line["deliveries"] = json!(tally.arrived);
            line["lost"] = json!(tally.lost.len());
            line["unexpected"] = json!(tally.unexpected.len());
            line["duplicates"] = json!(tally.duplicates.len());
            line["duplicates_max"] = json!(duplicates_max);
        }
        line
    }
}

impl Tally {
    /// What became of this account under a fault: the fault's id, and in a few words what is done.
    pub fn outcome(&self, fault: &str, done: &str) -> Outcome {
        Outcome { tally: Some(self.clone()), ..Outcome::of(fault, done) }
    }
}
