//! Finds the directory that holds `postgres` and `initdb`, of the major version that the data needs.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail, ensure};

/// Everything here is written for this version or a later one.
const MAJOR_MIN: u32 = 15;

/// Directories with one child for each installed major version, and where the programs lie in it.
const VERSIONED: &[(&str, &str, &str)] = &[
    ("/usr/lib/postgresql", "", "bin"),          // Debian, Ubuntu
    ("/usr", "pgsql-", "bin"),                   // RHEL, Fedora
    ("/opt/homebrew/opt", "postgresql@", "bin"), // Homebrew on Apple silicon
    ("/usr/local/opt", "postgresql@", "bin"),    // Homebrew on Intel
    ("/Applications/Postgres.app/Contents/Versions", "", "bin"),
];

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Binaries {
    pub(super) dir: PathBuf,
    pub(super) major: u32,
}

/// The programs for a cluster of major version `wanted`, or the newest ones for a new cluster.
/// `configured` (`PG_BIN_DIR`) is the only place looked at when it is given.
pub(super) fn binaries(configured: Option<&Path>, wanted: Option<u32>) -> anyhow::Result<Binaries> {
    let directories = match configured {
        Some(dir) => {
            ensure!(
                is_complete(dir),
                "PG_BIN_DIR must name a directory that holds both `postgres` and `initdb`"
            );
            vec![resolved(dir)]
        }
        None => usual_places(search_path().as_deref()),
    };
    let found: Vec<Binaries> = directories
        .into_iter()
        .filter_map(|dir| major_of(&dir).ok().map(|major| Binaries { dir, major }))
        .collect();
    choose(&found, wanted).cloned()
}

fn choose(found: &[Binaries], wanted: Option<u32>) -> anyhow::Result<&Binaries> {
    let Some(newest) = found.iter().max_by_key(|binaries| binaries.major) else {
        bail!(
            "no Postgres programs (`postgres` and `initdb`) were found: run scripts/setup-postgres, \
             set PG_BIN_DIR to their directory, or set DATABASE_URL to use a server of your own"
        );
    };
    ensure!(
        MAJOR_MIN <= newest.major,
        "Postgres {MAJOR_MIN} or newer is needed, and only {} was found",
        newest.major
    );
    let Some(wanted) = wanted else {
        // What comes first on PATH is what its owner meant.
        return Ok(found.iter().find(|b| MAJOR_MIN <= b.major).unwrap_or(newest));
    };
    found.iter().find(|binaries| binaries.major == wanted).with_context(|| {
        let installed: Vec<String> = found.iter().map(|b| b.major.to_string()).collect();
        format!(
            "the data was written by Postgres {wanted}, but only Postgres {} is installed: \
             install Postgres {wanted}, or move the data directory away to begin with an empty one",
            installed.join(" and ")
        )
    })
}

/// PATH first, then the highest version of each place where distributions keep the programs.
fn usual_places(path: Option<&OsStr>) -> Vec<PathBuf> {
    let mut places: Vec<PathBuf> = Vec::new();
    let on_path = path.into_iter().flat_map(std::env::split_paths);
    let versioned = VERSIONED
        .iter()
        .flat_map(|(parent, prefix, below)| versions_in(Path::new(parent), prefix, below));
    for dir in on_path.chain(versioned).filter(|dir| is_complete(dir)) {
        let dir = resolved(&dir);
        if !places.contains(&dir) {
            places.push(dir);
        }
    }
    places
}

/// `<parent>/<prefix><N>/<below>` for each N, the highest first.
fn versions_in(parent: &Path, prefix: &str, below: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(parent) else { return Vec::new() };
    let mut versions: Vec<(u32, PathBuf)> = entries
        .filter_map(Result::ok)
        .filter_map(|entry| {
            let name = entry.file_name();
            let version = name.to_str()?.strip_prefix(prefix)?.parse().ok()?;
            Some((version, entry.path().join(below)))
        })
        .collect();
    versions.sort_unstable_by(|a, b| b.cmp(a));
    versions.into_iter().map(|(_, path)| path).collect()
}

fn is_complete(dir: &Path) -> bool {
    dir.join("postgres").is_file() && dir.join("initdb").is_file()
}

/// Follows links to the real programs: a server looks for its libraries beside itself.
fn resolved(dir: &Path) -> PathBuf {
    let real = dir.join("postgres").canonicalize().ok();
    match real.as_deref().and_then(Path::parent) {
        Some(real) if is_complete(real) => real.to_owned(),
        _ => dir.to_owned(),
    }
}

fn major_of(dir: &Path) -> anyhow::Result<u32> {
    let output = Command::new(dir.join("postgres")).arg("--version").output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    parse_major(&text).with_context(|| format!("unreadable version of {}", dir.display()))
}

/// From `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`.
fn parse_major(version: &str) -> Option<u32> {
    let number = version.split_once("(PostgreSQL) ")?.1;
    let digits = number.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

#[expect(clippy::disallowed_methods, reason = "PATH is the shell's, not a setting of ours")]
fn search_path() -> Option<std::ffi::OsString> {
    std::env::var_os("PATH")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_line_gives_its_major() {
        for (line, major) in [
            ("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n", Some(15)),
            ("postgres (PostgreSQL) 18beta2", Some(18)),
            ("postgres (PostgreSQL) 17.0", Some(17)),
            ("postgres", None),
            ("", None),
        ] {
            assert_eq!(parse_major(line), major, "{line}");
        }
    }

    fn installed(majors: &[u32]) -> Vec<Binaries> {
        majors
            .iter()
            .map(|&major| Binaries { dir: PathBuf::from(format!("/pg/{major}")), major })
            .collect()
    }

    #[test]
    fn data_chooses_its_own_major_and_a_new_cluster_the_first_that_is_new_enough() {
        for (majors, wanted, chosen) in [
            (&[16, 15][..], None, 16),
            (&[16, 15][..], Some(15), 15),
            (&[13, 17, 16][..], None, 17),
        ] {
            let found = installed(majors);
            assert_eq!(choose(&found, wanted).expect("one fits").major, chosen);
        }
    }

    #[test]
    fn what_cannot_work_is_refused_in_a_sentence() {
        let error = |majors: &[u32], wanted| {
            choose(&installed(majors), wanted).expect_err("nothing fits").to_string()
        };
        assert!(error(&[], None).contains("no Postgres programs"));
        assert!(error(&[13], None).contains("Postgres 15 or newer is needed, and only 13"));
        let mismatch = error(&[17, 16], Some(15));
        assert!(mismatch.contains("written by Postgres 15"), "{mismatch}");
        assert!(mismatch.contains("only Postgres 17 and 16 is installed"), "{mismatch}");
    }

    #[test]
    fn a_configured_directory_without_the_programs_is_refused() {
        let error = binaries(Some(Path::new("/nonexistent")), None).expect_err("nothing there");
        assert!(error.to_string().starts_with("PG_BIN_DIR must name"), "{error}");
    }
}
