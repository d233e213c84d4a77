//! Guards `docs/writing-a-mapping.md`: its files are written, its commands are run in their order, and what it shows of
//! their output is what they print. `SIEMLINE_BLESS=1` writes what they print into the page.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use super::Home;

const PAGE: &str = "docs/writing-a-mapping.md";

/// What a command prints on a terminal: both its streams, as they come.
fn printed(home: &Home, command: &str) -> String {
    let binary = Path::new(env!("CARGO_BIN_EXE_siemline"));
    let path = std::env::var_os("PATH").unwrap();
    let directories = binary.parent().into_iter().map(Path::to_path_buf).chain(std::env::split_paths(&path));
    let ended = Command::new("sh")
        .args(["-c", &format!("exec 2>&1\n{command}")])
        .current_dir(home.path("."))
        .env("PATH", std::env::join_paths(directories).unwrap())
        .output()
        .unwrap();
    String::from_utf8(ended.stdout).unwrap()
}

/// The page with what its commands print in this moment.
fn run(page: &str) -> String {
    let home = Home::new();
    let mut found = String::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        writeln!(found, "{line}").unwrap();
        let Some(kind) = line.strip_prefix("```").filter(|kind| !kind.is_empty()) else { continue };
        let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        if kind == "console" {
            for command in block.iter().filter_map(|line| line.strip_prefix("$ ")) {
                writeln!(found, "$ {command}").unwrap();
                found.push_str(&printed(&home, command));
            }
        } else {
            let name = kind.split_once(' ').expect("a file has a name").1;
            let path = home.path(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            let text = block.join("\n") + "\n";
            std::fs::write(path, &text).unwrap();
            found.push_str(&text);
        }
        found.push_str("```\n");
    }
    found
}

#[test]
fn writing_a_mapping_in_ten_minutes() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
    let page = std::fs::read_to_string(&path).unwrap();
    let found = run(&page);
    if std::env::var_os("SIEMLINE_BLESS").is_some() {
        std::fs::write(&path, &found).unwrap();
        return;
    }
    for (number, (line, found)) in page.lines().zip(found.lines()).enumerate() {
        assert_eq!(line, found, "{PAGE}:{}; SIEMLINE_BLESS=1 writes what the commands print", number + 1);
    }
    assert_eq!(page, found, "{PAGE}: its end");
    // What the page claims, beside what it shows.
    for claim in [
        "acme.login: 1 tests, 15 of 15 rules fired",
        "`user` has no attribute `nmae`",
        "      expected \"kim\"",
        "\nall well\n",
    ] {
        assert!(page.contains(claim), "{claim}");
    }
}
