//! Guards the recipes: each is a configuration that `check` takes as it stands, with its secrets set.

use std::path::Path;
use std::process::Command;

use regex::Regex;

#[test]
fn every_recipe_passes_check() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/recipes");
    let secret = Regex::new(r#"env = "([A-Z0-9_]+)""#).unwrap();
    let mut checked = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let secrets = secret.captures_iter(&text).map(|found| (found[1].to_owned(), "not-a-secret-EXAMPLE"));
        let home = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_siemline"));
        command.args(["check", "--config"]).arg(&path).current_dir(home.path()).env_clear().envs(secrets);
        let ended = command.output().unwrap();
        let told = String::from_utf8_lossy(&ended.stdout).into_owned() + &String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.success(), "{}: {told}", path.display());
        assert!(told.contains("all well"), "{}: {told}", path.display());
        checked += 1;
    }
    assert!(checked >= 3, "there are recipes");
}
