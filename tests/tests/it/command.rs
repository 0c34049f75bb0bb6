//! Runs the real command line, with exactly the environment that a test gives it.

use std::{path::PathBuf, process::Stdio, time::Duration};

use serde_json::Value;

/// What a command did.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Finished {
    /// The same, after checking that it went well.
    pub(crate) fn good(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:?}");
        self
    }

    /// Standard output as one JSON value a line.
    pub(crate) fn json_lines(&self) -> Vec<Value> {
        let parse = |line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"));
        self.stdout.lines().map(parse).collect()
    }

    /// Standard output as the one JSON value that it is.
    pub(crate) fn json(&self) -> Value {
        let mut lines = self.json_lines();
        assert_eq!(lines.len(), 1, "{self:?}");
        lines.remove(0)
    }
}

/// Runs `relay` with these arguments.
pub(crate) async fn relay(arguments: &[&str], environment: &[(&str, &str)]) -> Finished {
    run(&binary(), arguments, environment, None).await
}

/// Runs a program that must end within a minute; `input` is its standard input.
pub(crate) async fn run(
    program: &std::path::Path,
    arguments: &[&str],
    environment: &[(&str, &str)],
    input: Option<&str>,
) -> Finished {
    let mut command = tokio::process::Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .envs(environment.iter().copied())
        .stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    let mut child = command.spawn().unwrap_or_else(|e| panic!("{}: {e}", program.display()));
    if let (Some(text), Some(mut stdin)) = (input, child.stdin.take()) {
        use tokio::io::AsyncWriteExt as _;
        // A program that ends early says why in its own words.
        let _ = stdin.write_all(text.as_bytes()).await;
    }
    let output = tokio::time::timeout(Duration::from_secs(60), child.wait_with_output());
    let output = output.await.expect("it ends in time").expect("a child can be waited for");
    Finished {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// The binary under test, found as the harness finds it.
pub(crate) fn binary() -> PathBuf {
    std::env::var_os("RELAY_BIN").map_or_else(
        || {
            let test = std::env::current_exe().expect("a test knows its own file");
            test.ancestors().nth(2).expect("it lies in target/").join("relay")
        },
        PathBuf::from,
    )
}
