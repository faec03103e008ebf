//! The files of the project, as they would be in a fresh clone.

use std::path::{Path, PathBuf};

/// Folders that builds and runs make.
const MADE: &[&str] = &["target", "artifacts", ".git"];

/// One text file.
pub(crate) struct File {
    /// Its path from the root, with `/` between the parts.
    pub(crate) path: String,
    /// What is in it.
    pub(crate) text: String,
}

/// The folder that holds the workspace.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Every text file of the project. Files that are not text are none of these tests' business.
pub(crate) fn files() -> Vec<File> {
    let mut files = Vec::new();
    collect(&root(), "", &mut files);
    assert!(
        files.len() > 50,
        "the project has more than {} files",
        files.len()
    );
    files
}

/// The files whose name ends so.
pub(crate) fn files_ending(ending: &str) -> Vec<File> {
    files()
        .into_iter()
        .filter(|file| file.path.ends_with(ending))
        .collect()
}

fn collect(folder: &Path, prefix: &str, files: &mut Vec<File>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let path = format!("{prefix}{name}");
        let kind = entry.file_type().unwrap();
        // In a second working tree `.git` is a file that says where the first is.
        if MADE.contains(&name.as_str()) {
            continue;
        }
        if kind.is_dir() {
            if !name.starts_with("halloo-demo-") {
                collect(&entry.path(), &format!("{path}/"), files);
            }
        } else if kind.is_file()
            && let Ok(text) = std::fs::read_to_string(entry.path())
        {
            files.push(File { path, text });
        }
    }
}
