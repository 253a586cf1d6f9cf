//! `docent-local serve` as a person starts and ends it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)] // a test fails by panicking

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use docent_local::workerd::find_binary;
use tempfile::TempDir;

fn docent_local(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_docent-local"));
    command.current_dir(env!("CARGO_MANIFEST_DIR")).arg("serve").args(["--cloud-port", "0"]).args(arguments);
    command
}

fn run(arguments: &[&str]) -> Output {
    docent_local(arguments).output().unwrap()
}

/// A built Worker with its deployment file; `None` where there is no workerd on this machine.
fn worker() -> Option<TempDir> {
    find_binary(Path::new(env!("CARGO_MANIFEST_DIR"))).ok()?;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("index.js"), include_str!("probe.js")).unwrap();
    std::fs::write(folder.path().join("wrangler.toml"), "compatibility_date = \"2026-11-01\"\n").unwrap();
    Some(folder)
}

/// Starts it and waits until it says that docent answers; with the pid of its workerd.
fn start(folder: &Path) -> (Child, u32) {
    let config = folder.join("wrangler.toml");
    let arguments = ["--worker", folder.to_str().unwrap(), "--config", config.to_str().unwrap(), "--port", "0"];
    let mut child = docent_local(&arguments).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().starts_with("docent answers at http://127.0.0.1:")));
    let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", child.id())).unwrap();
    let workerd = |pid: &&str| std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap().trim() == "workerd";
    let pid = children.split_whitespace().find(workerd).unwrap().parse().unwrap();
    (child, pid)
}

fn kill(signal: &str, pid: u32) {
    assert!(Command::new("kill").args([signal, &pid.to_string()]).status().unwrap().success());
}

/// Whether the process is there; one that nobody has waited for yet is gone.
fn runs(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

#[test]
fn the_command_finds_the_stand_in_in_its_environment_and_its_failure_is_ours() {
    let script = "test -n \"$CLOUDFLARE_API_TOKEN\" && \
                  echo $DOCENT_API_BASE $DOCENT_INDEX $DOCENT_KV_ID $DOCENT_D1_ID; exit 7";
    let output = run(&["--", "sh", "-c", script]);
    assert_eq!(output.status.code(), Some(7));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.starts_with("http://127.0.0.1:") && said.ends_with("/client/v4 docent docent docent\n"), "{said}");
    assert!(String::from_utf8(output.stderr).unwrap().contains("failed (exit status: 7)"));
}

#[test]
fn the_databases_of_the_deployment_file_are_there_with_their_migrations() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("wrangler.toml");
    std::fs::create_dir(folder.path().join("sql")).unwrap();
    std::fs::write(folder.path().join("sql/1_first.sql"), "CREATE TABLE t (a)").unwrap();
    let date = "compatibility_date = \"2026-11-01\"\n";
    let block = "[[d1_databases]]\nbinding = \"CONTENT\"\ndatabase_name = \"docs\"\nmigrations_dir = \"sql\"\n";
    let id = "database_id = \"01234567-89ab-cdef-0123-456789abcdef\"\n";
    for (text, expected, applied) in [
        (format!("{date}{block}"), "D1=docent\n", true),
        (format!("{date}{block}{id}"), "D1=01234567-89ab-cdef-0123-456789abcdef\n", true),
        (date.to_owned(), "D1=\n", false),
    ] {
        std::fs::write(&config, text).unwrap();
        let output = run(&["--config", config.to_str().unwrap(), "--", "sh", "-c", "echo D1=$DOCENT_D1_ID; exit 7"]);
        assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(said.contains("database docs: applied 1_first.sql"), applied, "{said}");
    }
}

#[test]
fn a_port_in_use_is_named_with_the_option_that_changes_it() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let said = |output: Output| String::from_utf8(output.stderr).unwrap();
    let cloud = Command::new(env!("CARGO_BIN_EXE_docent-local")).args(["serve", "--cloud-port", &port]).output();
    let cloud = said(cloud.unwrap());
    assert!(
        cloud.contains(&format!("port {port} on 127.0.0.1 is in use")) && cloud.contains("--cloud-port"),
        "{cloud}"
    );
    let Some(folder) = worker() else { return };
    let config = folder.path().join("wrangler.toml");
    let arguments =
        ["--worker", folder.path().to_str().unwrap(), "--config", config.to_str().unwrap(), "--port", &port];
    let bot = said(run(&arguments));
    assert!(bot.contains(&format!("port {port} on 127.0.0.1 is in use")) && bot.contains("--port"), "{bot}");
}

#[test]
fn what_is_missing_is_named() {
    for (arguments, missing) in [
        (["--worker", "/nowhere"], "wrangler.toml"),
        (["--docs", "/nowhere"], "/nowhere"),
        (["--model", "/nowhere"], "/nowhere"),
        (["--model", "download"], "--state"),
    ] {
        let output = run(&arguments);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(1) && said.contains(missing), "{arguments:?}: {said}");
    }
}

#[test]
fn each_signal_that_means_the_end_ends_workerd_too() {
    let Some(folder) = worker() else { return };
    for signal in ["-INT", "-TERM", "-HUP"] {
        let (mut child, workerd) = start(folder.path());
        assert!(runs(workerd));
        kill(signal, child.id());
        assert!(child.wait().unwrap().success(), "{signal}");
        assert!(!runs(workerd), "{signal}");
    }
}

#[test]
fn workerd_does_not_outlive_a_killed_docent_local() {
    let Some(folder) = worker() else { return };
    let (mut child, workerd) = start(folder.path());
    kill("-KILL", child.id());
    child.wait().unwrap();
    while runs(workerd) {
        std::thread::yield_now();
    }
}

#[test]
fn the_end_of_workerd_is_an_error_that_names_it() {
    let Some(folder) = worker() else { return };
    let (mut child, workerd) = start(folder.path());
    kill("-KILL", workerd);
    assert_eq!(child.wait().unwrap().code(), Some(1));
}
