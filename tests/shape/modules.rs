//! Which file of the source uses which: read from the text, far enough to find circles and the home of a type.
//!
//! A path is followed through re-exports to the file that defines the name, so that `use super::Entry` of a type that the
//! parent merely re-exports is no arrow to the parent. Macros and globs are not followed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The modules of the source, by their path: `["account", "breaker"]`; the root is the empty path.
pub(crate) struct Modules {
    files: BTreeMap<Vec<String>, Module>,
}

struct Module {
    file: PathBuf,
    /// The text above the tests, without comments.
    code: String,
    uses: Vec<Use>,
}

/// One name that a file brings in.
struct Use {
    path: Vec<String>,
    name: String,
    exported: bool,
}

impl Modules {
    /// Reads the files: path below `src`, and the text above the tests.
    pub(crate) fn read<'a>(files: impl Iterator<Item = (&'a PathBuf, &'a str)>) -> Modules {
        let mut modules = BTreeMap::new();
        for (file, text) in files {
            let code: String = text.lines().filter(|line| !line.trim_start().starts_with("//")).map(with_end).collect();
            // A visibility names a module and does not use it.
            let code = code.replace("pub(in crate::", "pub(in ");
            let path = path_of(file);
            let uses = uses_of(&code, &path);
            modules.insert(path, Module { file: file.clone(), code, uses });
        }
        Modules { files: modules }
    }

    /// For each file, the files that it uses.
    pub(crate) fn arrows(&self) -> BTreeMap<&Path, BTreeSet<&Path>> {
        let targets = |(path, module): (&Vec<String>, &'_ Module)| {
            let mut found = BTreeSet::new();
            for one in &module.uses {
                // A name that is only handed on is not used here.
                if !one.exported || words(&module.code).filter(|word| *word == one.name).count() > 1 {
                    found.extend(self.resolve(&one.path, 0));
                }
            }
            for word in paths_in(&module.code) {
                let whole = absolute(&word, path).filter(|path| !path.is_empty());
                found.extend(whole.and_then(|path| self.resolve(&path, 0)));
                // `schedule::Settings` names a child of this module without any `use`.
                let child: Vec<String> = path.iter().chain(word.first()).cloned().collect();
                if self.files.contains_key(&child) {
                    let whole: Vec<String> = path.iter().chain(&word).cloned().collect();
                    found.extend(self.resolve(&whole, 0));
                }
            }
            found.into_iter().filter(|file| **file != *module.file).map(PathBuf::as_path).collect()
        };
        self.files.iter().map(|entry| (entry.1.file.as_path(), targets(entry))).collect()
    }

    /// The circles of files: each file of a circle uses every other one, directly or through others.
    pub(crate) fn circles(&self) -> BTreeSet<BTreeSet<PathBuf>> {
        let arrows = self.arrows();
        let mut reached: BTreeMap<PathBuf, BTreeSet<PathBuf>> = BTreeMap::new();
        for &file in arrows.keys() {
            let (mut seen, mut next) = (BTreeSet::new(), vec![file]);
            while let Some(one) = next.pop() {
                next.extend(arrows[one].iter().copied().filter(|target| seen.insert(target.to_path_buf())));
            }
            reached.insert(file.to_owned(), seen);
        }
        let circle = |(file, from): (&PathBuf, &BTreeSet<PathBuf>)| -> BTreeSet<PathBuf> {
            from.iter().filter(|other| reached[*other].contains(file)).cloned().collect()
        };
        reached.iter().map(circle).filter(|circle| circle.len() > 1).collect()
    }

    /// For each type, by name and home, the files with inherent `impl` blocks of it.
    pub(crate) fn inherent(&self) -> BTreeMap<(String, &Path), BTreeSet<&Path>> {
        let mut found: BTreeMap<_, BTreeSet<&Path>> = BTreeMap::new();
        for (path, module) in &self.files {
            for line in module.code.split("\nimpl").skip(1) {
                let head = without_generics(line.split('{').next().unwrap_or(""));
                if head.contains(" for ") || line.starts_with(|c: char| c.is_alphanumeric() || c == '_') {
                    continue;
                }
                let name: Vec<String> =
                    head.split_whitespace().next().unwrap_or("").split("::").map(str::to_owned).collect();
                let imported = module.uses.iter().find(|one| one.name == name[0]).map(|one| one.path.clone());
                let whole = imported.or_else(|| absolute(&name, path));
                let name = whole.as_ref().unwrap_or(&name).last().cloned().unwrap_or_default();
                let home = whole.and_then(|path| self.resolve(&path, 0)).unwrap_or(&module.file);
                found.entry((name, home.as_path())).or_default().insert(&module.file);
            }
        }
        found
    }

    /// The file that defines what this path names.
    fn resolve(&self, path: &[String], depth: usize) -> Option<&PathBuf> {
        let split = (0..=path.len()).rev().find(|&length| self.files.contains_key(&path[..length]))?;
        let module = &self.files[&path[..split]];
        let Some(name) = path.get(split).filter(|_| depth < 8) else { return Some(&module.file) };
        let handed_on = module.uses.iter().find(|one| one.name == *name && one.path[..] != path[..=split]);
        let target = handed_on.and_then(|one| {
            let whole: Vec<String> = one.path.iter().chain(&path[split + 1..]).cloned().collect();
            self.resolve(&whole, depth + 1)
        });
        // The root defines nothing: what is not found there is another crate's.
        target.or_else(|| (split > 0).then_some(&module.file))
    }
}

fn with_end(line: &str) -> String {
    format!("{line}\n")
}

/// `account/budget/window.rs` is `account::budget::window`; `account/mod.rs` is `account`.
fn path_of(file: &Path) -> Vec<String> {
    let parts = file.with_extension("");
    let parts = parts.components().map(|part| part.as_os_str().to_string_lossy().into_owned());
    parts.filter(|part| part != "mod" && part != "lib").collect()
}

/// The path from the root; `None` where it does not begin with `crate`, `super` or `self`.
fn absolute(path: &[String], module: &[String]) -> Option<Vec<String>> {
    let above = path.iter().take_while(|part| *part == "super").count();
    match path.first().map(String::as_str)? {
        "crate" => Some(path[1..].to_vec()),
        "self" => Some(module.iter().chain(&path[1..]).cloned().collect()),
        "super" => Some(module[..module.len().checked_sub(above)?].iter().chain(&path[above..]).cloned().collect()),
        _ => None,
    }
}

/// All `use` declarations with their groups taken apart.
fn uses_of(code: &str, module: &[String]) -> Vec<Use> {
    let mut found = Vec::new();
    for item in code.split(';') {
        let Some(at) = item.rfind("use ").filter(|at| item[..*at].ends_with(['\n', ' ']) || *at == 0) else { continue };
        let before = item[..at].trim_end().rsplit('\n').next().unwrap_or("").trim();
        if !(before.is_empty() || before.starts_with("pub") || before.ends_with(['}', ']'])) {
            continue;
        }
        let mut leaves = Vec::new();
        flatten(&item[at + 4..], &[], &mut leaves);
        for (path, alias) in leaves {
            let child: Vec<String> = module.iter().chain(path.first()).cloned().collect();
            let whole = absolute(&path, module).unwrap_or_else(|| [module, &path[..]].concat());
            let Some(name) = alias.or_else(|| path.last().cloned()) else { continue };
            found.push(Use { path: whole, name, exported: before.starts_with("pub") && child.len() > module.len() });
        }
    }
    found
}

/// The leaves of a `use` tree, with the names they are given.
fn flatten(tree: &str, prefix: &[String], leaves: &mut Vec<(Vec<String>, Option<String>)>) {
    let tree = tree.trim();
    let Some(open) = tree.find('{') else {
        let (path, alias) = tree.split_once(" as ").map_or((tree, None), |(path, alias)| (path, Some(alias.trim())));
        let mut whole = prefix.to_vec();
        whole.extend(
            path.split("::").map(|part| part.trim().to_owned()).filter(|part| part != "self" || prefix.is_empty()),
        );
        if !whole.is_empty() && !tree.is_empty() {
            leaves.push((whole, alias.map(str::to_owned)));
        }
        return;
    };
    let mut whole = prefix.to_vec();
    whole.extend(tree[..open].split("::").map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()));
    let (mut depth, mut item) = (0, String::new());
    for c in tree[open + 1..].chars() {
        match c {
            '}' if depth == 0 => break,
            ',' if depth == 0 => flatten(&std::mem::take(&mut item), &whole, leaves),
            _ => {
                depth += i32::from(c == '{') - i32::from(c == '}');
                item.push(c);
            }
        }
    }
    flatten(&item, &whole, leaves);
}

/// The words of the code.
fn words(code: &str) -> impl Iterator<Item = &str> {
    code.split(|c: char| !(c.is_alphanumeric() || c == '_'))
}

/// The paths of the code with at least two parts. What stands before a group (`super::{`) is none.
fn paths_in(code: &str) -> impl Iterator<Item = Vec<String>> {
    let runs = code.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'));
    runs.filter(|run| run.contains("::") && !run.ends_with("::"))
        .map(|run| run.split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect())
}

/// `<'a, T> Foo<'a, T>` without what stands in angle brackets.
fn without_generics(text: &str) -> String {
    let mut depth = 0;
    let plain = text.replace("->", "  ");
    let keep = |c: &char| {
        depth += i32::from(*c == '<');
        let outside = depth == 0;
        depth -= i32::from(*c == '>');
        outside
    };
    plain.chars().filter(keep).collect()
}

#[test]
fn arrows_follow_names_to_the_file_that_defines_them() {
    let files = [
        ("lib.rs", "pub mod a;\npub mod b;\n"),
        (
            "a/mod.rs",
            "pub mod one;\npub mod two;\nmod three;\nmod four;\npub use four::f;\npub use one::One;\nuse three::Three;\nstruct A(Three);\n",
        ),
        ("a/one.rs", "use super::two::Two;\npub struct One(Two);\nimpl One {\n}\n"),
        ("a/two.rs", "use super::One;\npub struct Two(Box<One>);\nimpl One {\n}\nimpl<T> From<T> for Two {\n}\n"),
        ("a/three.rs", "pub struct Three(Box<super::A>);\n"),
        ("a/four.rs", "use super::{one, two};\nfn f(_: one::One, _: two::Two) {}\n"),
        ("b.rs", "use crate::{a::{One as First, two}};\nimpl First {\n}\nfn f(_: two::Two) {}\n"),
    ]
    .map(|(file, text)| (PathBuf::from(file), text));
    let modules = Modules::read(files.iter().map(|(file, text)| (file, *text)));
    let circle = |files: [&str; 2]| files.map(PathBuf::from).into_iter().collect::<BTreeSet<_>>();
    assert_eq!(modules.circles(), [circle(["a/mod.rs", "a/three.rs"]), circle(["a/one.rs", "a/two.rs"])].into());
    let of_b: Vec<&Path> = modules.arrows()[Path::new("b.rs")].iter().copied().collect();
    assert_eq!(of_b, [Path::new("a/one.rs"), Path::new("a/two.rs")]);
    let (types, one) = (modules.inherent(), Path::new("a/one.rs"));
    let homes: Vec<_> = types.iter().map(|((name, home), files)| (name.as_str(), *home, files.len())).collect();
    assert_eq!(homes, [("One", one, 3)]);
}
