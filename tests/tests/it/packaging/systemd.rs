//! The units of systemd: verified by systemd itself, where it is installed, with the binary under test.

use std::fs;

use super::{assert_settings, drain_seconds, files, is_here, read};
use crate::command;

/// Of ten: systemd calls what is below 2 well protected.
const EXPOSURE_MAX: &str = "20";

#[tokio::test]
async fn units_set_what_is_read_and_wait_as_long_as_a_stop_takes() {
    for path in files("deploy/systemd", ".service") {
        let unit = read(&path);
        let values = |name: &str| {
            let name = format!("{name}=");
            let lines = unit.lines().filter_map(move |line| line.strip_prefix(name.as_str()));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        let command_line = values("ExecStart").join(" ");
        let name = command_line.strip_prefix("/usr/local/bin/relay ").expect("the binary");
        command::relay(&[name, "--help"], &[]).await.good();
        let set = values("Environment").join(" ");
        assert_settings(&path, set.split(' ').filter_map(|pair| pair.split_once('='))).await;
        assert_eq!(values("EnvironmentFile"), ["/etc/relay/relay.env"], "{path}");
        assert_eq!(values("DynamicUser"), ["yes"], "{path}");
        if name != "migrate" {
            assert_eq!(values("TimeoutStopSec"), [drain_seconds().to_string()], "{path}");
            assert_eq!(values("Restart"), ["always"], "{path}");
        }
    }
}

#[tokio::test]
async fn systemd_accepts_the_units_and_finds_them_well_protected() {
    if !is_here("systemd-analyze") {
        return;
    }
    let folder = std::env::temp_dir().join(format!("relay-units-{}", tests::new_id()));
    fs::create_dir_all(&folder).expect("the temporary directory can be written");
    let binary = command::binary();
    let binary = binary.to_str().expect("a plain path");
    for path in files("deploy/systemd", ".service") {
        let name = path.rsplit('/').next().expect("a name").replace("@.", "@3001.");
        let unit = folder.join(name);
        fs::write(&unit, read(&path).replace("/usr/local/bin/relay", binary)).expect("written");
        let unit = unit.to_str().expect("a plain path");
        let verify = ["verify", "--man=no", unit];
        let verified = command::run("systemd-analyze".as_ref(), &verify, &[], None).await.good();
        assert_eq!(verified.stderr, "", "{path}");
        let threshold = format!("--threshold={EXPOSURE_MAX}");
        let security = ["security", "--offline=true", "--no-pager", &threshold, unit];
        command::run("systemd-analyze".as_ref(), &security, &[], None).await.good();
    }
    fs::remove_dir_all(&folder).expect("it was made above");
}
