//! `docs/configuration.md` and `deploy/lvsp.example.toml` are written from the code: descriptions are the
//! doc comments of the sections' fields, defaults are what they serialise to, and limits are their own
//! table. `UPDATE=1 cargo test -p lvsp-mio --test configuration` writes both; otherwise they are checked.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test may panic: that is its verdict"
)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use lvsp_core::limits::Limits;
use lvsp_mio::config::{ClientSection, File};
use syn::{Attribute, Expr, Fields, GenericArgument, Item, Lit, Meta, PathArguments, Type};

const DOCUMENT: &str = "docs/configuration.md";
const EXAMPLE: &str = "deploy/lvsp.example.toml";
const COMMAND: &str = "UPDATE=1 cargo test -p lvsp-mio --test configuration";
/// Comments of the example are no wider.
const WIDTH: usize = 96;

/// One key of a section.
struct Key {
    name: String,
    /// From its doc comment, in one line.
    description: String,
    kind: Kind,
    /// As TOML; `None` where there is none.
    default: Option<String>,
    /// What its counter counts, of a limit.
    counts: &'static str,
}

/// What a key takes.
struct Kind {
    words: String,
    is_list: bool,
    is_text: bool,
}

/// A section, or a table that may stand in it several times.
struct Section {
    /// As in `control`, or `control.client`.
    name: String,
    is_array: bool,
    description: String,
    keys: Vec<Key>,
}

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

/// The lines of a doc comment as one.
fn doc(attributes: &[Attribute]) -> String {
    let mut text = String::new();
    for attribute in attributes {
        if let Meta::NameValue(pair) = &attribute.meta
            && pair.path.is_ident("doc")
            && let Expr::Lit(literal) = &pair.value
            && let Lit::Str(line) = &literal.lit
        {
            text += line.value().trim();
            text.push(' ');
        }
    }
    text.trim().to_owned()
}

/// The name that serde is told, if it is another than the field's.
fn renamed(attributes: &[Attribute]) -> Option<String> {
    let mut name = None;
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("serde")) {
        let _ = attribute.parse_nested_meta(|meta| {
            if meta.path.is_ident("rename") {
                name = Some(meta.value()?.parse::<syn::LitStr>()?.value());
            } else if let Ok(value) = meta.value() {
                value.parse::<Expr>()?;
            }
            Ok(())
        });
    }
    name
}

/// The last segment of a type's path, and the one inside its angle brackets.
fn named(kind: &Type) -> (String, Option<&Type>) {
    let Type::Path(path) = kind else { panic!("a field's type is no path") };
    let segment = path.path.segments.last().expect("a path has segments");
    let inner = if let PathArguments::AngleBracketed(arguments) = &segment.arguments
        && let Some(GenericArgument::Type(inner)) = arguments.args.first()
    {
        Some(inner)
    } else {
        None
    };
    (segment.ident.to_string(), inner)
}

fn kind(field: &Type) -> Kind {
    let (outer, inner) = named(field);
    if let ("Option", Some(inner)) = (outer.as_str(), inner) {
        return kind(inner);
    }
    if let ("Vec", Some(inner)) = (outer.as_str(), inner) {
        let words = format!("list: {}", kind(inner).words);
        return Kind { words, is_list: true, is_text: true };
    }
    let (words, is_text) = match outer.as_str() {
        "bool" => ("`true` or `false`", false),
        "u16" | "u32" | "u64" | "usize" | "Millis" => ("number", false),
        "SocketAddr" => ("address:port", true),
        "Ipv4Addr" => ("IPv4 address", true),
        "IpNet" => ("network", true),
        "PathBuf" => ("path", true),
        "SecretText" => ("secret", true),
        "String" => ("text", true),
        // An enumeration: its words stand in the description.
        _ => ("word", true),
    };
    Kind { words: words.to_owned(), is_list: false, is_text }
}

/// The structures of the configuration's source, by name.
fn structures() -> BTreeMap<String, (String, Vec<syn::Field>)> {
    let source = path("runtime-mio/src/config/sections.rs");
    let source = fs::read_to_string(source).expect("the sections' source");
    let file = syn::parse_file(&source).expect("it is Rust");
    let structures = file.items.into_iter().filter_map(|item| {
        let Item::Struct(item) = item else { return None };
        let Fields::Named(fields) = item.fields else { return None };
        let fields = fields.named.into_iter().collect();
        Some((item.ident.to_string(), (doc(&item.attrs), fields)))
    });
    structures.collect()
}

/// All sections in the file's order, each followed by the tables that may stand in it.
fn sections() -> Vec<Section> {
    let structures = structures();
    let defaults = File::default().to_masked_toml().expect("the defaults can be printed");
    let defaults: toml::Table = defaults.parse().expect("they are TOML");
    let mut sections = Vec::new();
    for field in &structures["File"].1 {
        let name = field.ident.as_ref().expect("a name").to_string();
        if name == "places" {
            // It is no section: where the keys were given.
            continue;
        }
        let (mut structure, inner) = named(&field.ty);
        if let Some(inner) = inner {
            structure = named(inner).0;
        }
        let description = doc(&field.attrs);
        if structure == "Limits" {
            sections.push(limits(name, description));
            continue;
        }
        let default = defaults.get(&name).and_then(toml::Value::as_table);
        let mut inner_sections = Vec::new();
        let keys = keys(&name, &structures, &structure, default, &mut inner_sections);
        sections.push(Section { name, is_array: false, description, keys });
        sections.append(&mut inner_sections);
    }
    sections
}

fn keys(
    section: &str,
    structures: &BTreeMap<String, (String, Vec<syn::Field>)>,
    structure: &str,
    defaults: Option<&toml::Table>,
    tables: &mut Vec<Section>,
) -> Vec<Key> {
    let mut keys = Vec::new();
    for field in &structures[structure].1 {
        let ident = field.ident.as_ref().expect("a name").to_string();
        let name = renamed(&field.attrs).unwrap_or(ident);
        let description = doc(&field.attrs);
        assert!(!description.is_empty(), "{section}.{name} has no doc comment");
        let (_, inner) = named(&field.ty);
        let inner = inner.map(|inner| named(inner).0);
        if let Some(inner) = inner.filter(|inner| structures.contains_key(inner)) {
            let name = format!("{section}.{name}");
            let defaults = table_defaults(&inner);
            let keys = self::keys(&name, structures, &inner, Some(&defaults), tables);
            tables.push(Section { name, is_array: true, description, keys });
            continue;
        }
        let default = defaults.and_then(|table| table.get(&name)).map(ToString::to_string);
        keys.push(Key { name, description, kind: kind(&field.ty), default, counts: "" });
    }
    keys
}

/// What stands in a table that names nothing but what it must.
fn table_defaults(structure: &str) -> toml::Table {
    assert_eq!(structure, "ClientSection", "another table needs its defaults here");
    let least: ClientSection = toml::from_str("name = \"-\"").expect("a client needs a name alone");
    let mut table = toml::Table::try_from(least).expect("it is a table");
    table.remove("name");
    table
}

fn limits(name: String, description: String) -> Section {
    let keys = Limits::default().table().into_iter().map(|row| Key {
        name: row.key.to_owned(),
        description: row.doc.to_owned(),
        kind: Kind { words: format!("{} to {}", row.min, row.max), is_list: false, is_text: false },
        default: Some(row.value.to_string()),
        counts: row.counts,
    });
    Section { name, is_array: false, description, keys: keys.collect() }
}

impl Section {
    /// The environment variable of a key; tables that stand several times, and lists, have none.
    fn variable(&self, key: &Key) -> Option<String> {
        let is_scalar = !self.is_array && !key.kind.is_list;
        is_scalar.then(|| format!("LVSP_{}__{}", self.name, key.name).to_uppercase())
    }
}

impl Key {
    /// Its default as TOML, or an example of what it takes.
    fn value(&self) -> String {
        if let Some(default) = &self.default {
            return default.clone();
        }
        let example =
            self.description.split_once("as in `").and_then(|(_, rest)| rest.split_once('`'));
        let example = match (example, self.kind.words.as_str()) {
            (Some((example, _)), _) => example,
            (None, "secret") => "...",
            (None, "word") => self.description.split('`').nth(1).expect("its words are named"),
            (None, "`true` or `false`") => "false",
            (None, _) => panic!("{}: its doc comment has no \"as in `...`\"", self.name),
        };
        match (self.kind.is_list, self.kind.is_text) {
            (true, _) => format!("[\"{example}\"]"),
            (false, true) => format!("\"{example}\""),
            (false, false) => example.to_owned(),
        }
    }
}

fn document(sections: &[Section]) -> String {
    let mut text = String::from(
        "# Configuration\n\n\
         A TOML file, named by `--config` or `LVSP_CONFIG_FILE`. Unknown keys are errors, with a \
         suggestion. Each scalar key\nis also an environment variable, which wins over the file; lists \
         and `[[...]]` tables stand in the file only. A key\nwithout a default is left out unless its \
         description says otherwise. `deploy/lvsp.example.toml` has them all, commented out.\n\n\
         Generated: CONTRIBUTING.md says how.\n",
    );
    for section in sections {
        let Section { name, is_array, description, keys } = section;
        let title = if *is_array { format!("`[[{name}]]`") } else { format!("`[{name}]`") };
        let _ = write!(text, "\n## {title}\n\n{description}\n\n");
        if name == "limits" {
            text += "Everything that a peer can make grow or repeat has its bound here. Each has a counter \
                     of its name, for how often it\nwas reached; intervals that nobody can exceed have \
                     none. [limits.md](limits.md) says which fault each is there for.\nThe variable of \
                     `sessions` is `LVSP_LIMITS__SESSIONS`, and so on.\n\n\
                     | key | default | range | | its counter counts |\n|---|---|---|---|---|\n";
            for Key { name, description, kind, counts, default } in keys {
                let default = default.as_deref().expect("every limit has one");
                let _ = writeln!(
                    text,
                    "| `{name}` | {default} | {} | {description} | {counts} |",
                    kind.words
                );
            }
            continue;
        }
        text += "| key | default | takes | | variable |\n|---|---|---|---|---|\n";
        for key in keys {
            let Key { description, kind, default, .. } = key;
            let default = default.as_deref().map(|text| text.trim_matches('"'));
            let default = default.map_or_else(String::new, |default| format!("`{default}`"));
            let variable =
                section.variable(key).map_or_else(String::new, |name| format!("`{name}`"));
            let _ = writeln!(
                text,
                "| `{}.{}` | {default} | {} | {description} | {variable} |",
                section.name, key.name, kind.words
            );
        }
    }
    text
}

/// Lines of a comment.
fn comment(text: &mut String, words: &str) {
    let mut line = "#".to_owned();
    for word in words.split_whitespace() {
        if line.len() + 1 + word.len() > WIDTH {
            let _ = writeln!(text, "{line}");
            "#".clone_into(&mut line);
        }
        line.push(' ');
        line += word;
    }
    let _ = writeln!(text, "{line}");
}

fn example(sections: &[Section]) -> String {
    let mut text = String::new();
    comment(
        &mut text,
        "Every key of the configuration, each commented out with its default, or with an example \
         where it has none. Remove the number sign in front of what you change; `lvsp-mio \
         check-config` says what is wrong, `lvsp-mio doctor` whether this host is fit for it.",
    );
    for section in sections {
        let Section { name, is_array, description, keys } = section;
        text.push('\n');
        comment(&mut text, description);
        let head = if *is_array { format!("#[[{name}]]") } else { format!("[{name}]") };
        let _ = writeln!(text, "{head}");
        for key in keys {
            text.push('\n');
            comment(&mut text, &key.description);
            let takes = match section.variable(key) {
                Some(variable) => format!("({}; {variable})", key.kind.words.replace('`', "")),
                None => format!("({})", key.kind.words.replace('`', "")),
            };
            comment(&mut text, &takes);
            let _ = writeln!(text, "#{} = {}", key.name, key.value());
        }
    }
    text
}

/// Writes a file where that is asked for, and otherwise checks that it is this.
fn hold(name: &str, text: &str) {
    if env::var_os("UPDATE").is_some() {
        return fs::write(path(name), text).expect("it can be written");
    }
    let found = fs::read_to_string(path(name)).unwrap_or_default();
    assert!(found == text, "{name} differs from the code; {COMMAND} writes it");
}

#[test]
fn the_document_of_the_configuration_is_that_of_the_code() {
    hold(DOCUMENT, &document(&sections()));
}

#[test]
fn the_example_configuration_is_that_of_the_code() {
    hold(EXAMPLE, &example(&sections()));
}

#[test]
fn the_example_can_be_read_as_it_is_and_with_every_key_in_force() {
    let text = example(&sections());
    let untouched: File = toml::from_str(&text).expect("comments and sections");
    let default = File::default().to_masked_toml().unwrap();
    assert_eq!(untouched.to_masked_toml().unwrap(), default);
    let uncommented = |line: &str| match line.strip_prefix('#') {
        Some(key) if !key.starts_with(' ') => key.to_owned(),
        _ => line.to_owned(),
    };
    let all: Vec<_> = text.lines().map(uncommented).collect();
    let all: File = toml::from_str(&all.join("\n")).expect("every key takes its example");
    let known = all.to_masked_toml().unwrap();
    for section in sections() {
        for key in &section.keys {
            let line = format!("\n{} = ", key.name);
            assert!(known.contains(&line), "{}.{} is not in force", section.name, key.name);
        }
    }
}
