//! `reliability <folder> <page>`: writes the outcomes of fault tests into the page's table.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::Path,
};

use serde_json::Value;

const BEGIN: &str = "<!-- outcomes: written by `make faults` and `make soak` -->";
const END: &str = "<!-- end of outcomes -->";
/// The faults of the list, each of which should have a row.
const FAULTS: std::ops::RangeInclusive<u32> = 1..=28;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, page] = arguments.as_slice() else {
        eprintln!("usage: reliability <folder of *.jsonl> <page>");
        std::process::exit(2);
    };
    let rows = rows(&lines(Path::new(folder)));
    let text = fs::read_to_string(page).expect("the page can be read");
    let day = chrono::Utc::now().format("%Y-%m-%d").to_string();
    let written = between(&text, &table(&rows, &day)).expect("the page has both marks");
    fs::write(page, written).expect("the page can be written");
    println!("{} rows in {page}", rows.len());
    let missing = without_a_row(&rows);
    if !missing.is_empty() {
        println!("no outcome of {} was found in {folder}", missing.join(", "));
    }
}

/// All that the tests wrote, the oldest of each file first.
fn lines(folder: &Path) -> Vec<Value> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .expect("the folder can be read")
        .map(|entry| entry.expect("the folder can be read").path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "jsonl"))
        .collect();
    files.sort();
    let read = |path| fs::read_to_string(path).expect("an outcome is text");
    let texts: Vec<String> = files.iter().map(read).collect();
    let lines = texts.iter().flat_map(|text| text.lines());
    lines.map(|line| serde_json::from_str(line).expect("an outcome is JSON")).collect()
}

/// In the order of the list; of several runs of one scenario the last.
type Rows = BTreeMap<(String, u32, String, String), Value>;

fn rows(lines: &[Value]) -> Rows {
    let text = |line: &Value, name: &str| line[name].as_str().unwrap_or_default().to_owned();
    let key = |line: &Value| {
        let fault = text(line, "fault");
        let first = fault.split(',').next().unwrap_or_default();
        let at = first.find(|c: char| c.is_ascii_digit()).unwrap_or(first.len());
        let digits: String = first[at..].chars().take_while(char::is_ascii_digit).collect();
        // Faults come first, then behaviours, then the rest.
        let list = match &first[..at] {
            "F" => "0",
            "B" => "1",
            other => other,
        };
        (list.to_owned(), digits.parse().unwrap_or(0), fault.clone(), text(line, "done"))
    };
    lines.iter().map(|line| (key(line), line.clone())).collect()
}

fn table(rows: &Rows, day: &str) -> String {
    let sum = |name: &str| rows.values().filter_map(|row| row[name].as_u64()).sum::<u64>();
    let mut text = format!(
        "Written on {day}: {} scenarios, {} events, {} deliveries, **{} lost**, {} unexpected, \
         {} duplicates.\n",
        rows.len(),
        thousands(sum("events")),
        thousands(sum("deliveries")),
        sum("lost"),
        sum("unexpected"),
        thousands(sum("duplicates")),
    );
    let missing = without_a_row(rows);
    if !missing.is_empty() {
        let _ = writeln!(text, "No row was written by: {}.", missing.join(", "));
    }
    text.push_str(
        "\n| Fault | What is done | Events | Lost | Duplicates (bound) | Recovered after | Seed |\n\
         |---|---|---|---|---|---|---|\n",
    );
    for row in rows.values() {
        let _ = writeln!(text, "| {} |", cells(row).join(" | "));
    }
    text
}

fn cells(row: &Value) -> [String; 7] {
    let number = |name: &str| row[name].as_u64().map_or(String::new(), thousands);
    let text = |value: &Value| value.as_str().unwrap_or_default().replace('|', "\\|");
    let mut done = text(&row["done"]);
    let measured = row["measured"].as_object().into_iter().flatten();
    let measured: Vec<String> =
        measured.map(|(what, value)| format!("{what}: {}", text(value))).collect();
    if !measured.is_empty() {
        let _ = write!(done, " · *{}*", measured.join("; "));
    }
    let duplicates = match &row["duplicates"] {
        Value::Null => String::new(),
        _ => format!("{} ({})", number("duplicates"), number("duplicates_max")),
    };
    let recovered = row["recovered_ms"].as_f64();
    let recovered = recovered.map_or(String::new(), |ms| format!("{:.1} s", ms / 1000.0));
    let seed = row["seed"].as_u64().map_or(String::new(), |seed| seed.to_string());
    [text(&row["fault"]), done, number("events"), number("lost"), duplicates, recovered, seed]
}

fn without_a_row(rows: &Rows) -> Vec<String> {
    let told = rows.keys().flat_map(|(_, _, faults, _)| faults.split(", "));
    let told: BTreeSet<&str> = told.collect();
    FAULTS.map(|n| format!("F{n}")).filter(|fault| !told.contains(fault.as_str())).collect()
}

fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The page with this between its marks; `None` if it has none.
fn between(page: &str, table: &str) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n\n{table}\n{END}{after}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rows_stand_in_the_order_of_the_list_and_the_last_run_counts() {
        let line = |fault: &str, done: &str, events: u64| {
            json!({ "fault": fault, "done": done, "events": events, "deliveries": events,
                    "lost": 0, "unexpected": 0, "duplicates": 3, "duplicates_max": 16,
                    "recovered_ms": 4210, "seed": null, "measured": {} })
        };
        let bare = json!({ "fault": "F11", "done": "callers hang up", "seed": 7,
                           "measured": { "connections idle in transaction": "0" } });
        let rows = rows(&[
            line("soak", "all of it", 9),
            line("B35", "killed", 5),
            bare,
            line("F2", "all killed", 1),
            line("F1, F6", "one killed", 1000),
            line("F2", "all killed", 2),
        ]);
        let page = between(&format!("a\n{BEGIN}\nold\n{END}\nb\n"), &table(&rows, "2026-01-02"));
        let page = page.expect("it has marks");
        assert!(page.starts_with("a\n") && page.ends_with("b\n") && !page.contains("old"));
        let written: Vec<&str> = page.lines().filter(|line| line.starts_with("| ")).collect();
        assert_eq!(
            written[1..],
            [
                "| F1, F6 | one killed | 1,000 | 0 | 3 (16) | 4.2 s |  |",
                "| F2 | all killed | 2 | 0 | 3 (16) | 4.2 s |  |",
                "| F11 | callers hang up · *connections idle in transaction: 0* |  |  |  |  | 7 |",
                "| B35 | killed | 5 | 0 | 3 (16) | 4.2 s |  |",
                "| soak | all of it | 9 | 0 | 3 (16) | 4.2 s |  |",
            ]
        );
        assert!(page.contains("5 scenarios, 1,016 events, 1,016 deliveries, **0 lost**"));
        assert!(page.contains("No row was written by: F3, F4, F5, F7,"), "{page}");
        assert_eq!(between("no marks", ""), None);
    }
}
