//! Are the keys known, and do their values have the right type?
//!
//! The parser stops at the first key that it does not take. Here each key is shown to it alone, so that
//! all of them are named. What is wrong is taken out of the table, and the rest can be looked at.

use toml::{Table, Value};

use super::change::Change;
use super::fault::Fault;
use super::places::Places;
use super::{File, most_similar};

/// Takes every key that is wrong out of the table.
pub(super) fn take_faults(table: &mut Table, places: &Places) -> Vec<Fault> {
    let mut faults = Vec::new();
    table.retain(|section, value| {
        if let Some(keys) = value.as_table_mut().filter(|_| is_known(section)) {
            keys.retain(|key, value| {
                let wrong = in_section(section, key, value, places);
                let is_right = wrong.is_empty();
                faults.extend(wrong);
                is_right
            });
            return true;
        }
        let root = |value| Table::from_iter([(section.to_owned(), value)]);
        let wrong = of_key(section, section, value, places, root);
        let is_right = wrong.is_none();
        faults.extend(wrong);
        is_right
    });
    faults
}

/// One key of a section that there is.
fn in_section(section: &str, key: &str, value: &Value, places: &Places) -> Vec<Fault> {
    let path = format!("{section}.{key}");
    if path == "control.client"
        && let Value::Array(clients) = value
    {
        return of_clients(clients, places);
    }
    let nest = |value| nested(section, Table::from_iter([(key.to_owned(), value)]));
    of_key(&path, key, value, places, nest).into_iter().collect()
}

/// Each table of `[[control.client]]`.
fn of_clients(clients: &[Value], places: &Places) -> Vec<Fault> {
    let whole = |client: Table| {
        let clients = Value::Array(vec![Value::Table(client)]);
        nested("control", Table::from_iter([("client".to_owned(), clients)]))
    };
    let mut faults = Vec::new();
    for (at, client) in clients.iter().enumerate() {
        let path = format!("control.client[{at}]");
        let Value::Table(client) = client else {
            let what = format!("{path}: it must be a table, [[control.client]]");
            let change = places.set(&format!("{path}.name"), "litecord");
            faults.push(Fault::new(places, path, what, change));
            continue;
        };
        for (key, value) in client {
            let path = format!("{path}.{key}");
            let nest = |value| {
                let name = ("name".to_owned(), Value::String("any".to_owned()));
                whole(Table::from_iter([name, (key.clone(), value)]))
            };
            faults.extend(of_key(&path, key, value, places, nest));
        }
        if !client.contains_key("name") {
            let key = format!("{path}.name");
            let what = format!("{key} is missing: logs and figures tell chat servers apart by it");
            let change = places.set(&key, format!("chat-{}", at + 1));
            faults.push(Fault::new(places, key, what, change));
        }
    }
    faults
}

/// One key by itself; `nest` makes a configuration of it alone.
fn of_key(
    path: &str,
    key: &str,
    value: &Value,
    places: &Places,
    nest: impl Fn(Value) -> Table,
) -> Option<Fault> {
    let parse = |value: Value| nest(value).try_into::<File>();
    let error = parse(value.clone()).err()?;
    let message = error.message();
    // Whoever looks at this is not to see what could be a secret.
    let is_secret = path.contains("secret");
    if let Some(known) = message.strip_prefix("unknown field ") {
        let names = known.split('`').skip(1).step_by(2).skip(1);
        let name = most_similar(key, names)?;
        let shown = if is_secret || name.contains("secret") {
            "\"...\"".to_owned()
        } else {
            value.to_string()
        };
        let what = format!("{path}: there is no such key; did you mean `{name}`?");
        let right = match path.rsplit_once('.') {
            Some((section, _)) => format!("{section}.{name}"),
            None => name.to_owned(),
        };
        // Twice it must not stand there.
        let change = if places.stands(&right) {
            places.remove(path)
        } else {
            let renamed = places.rename(path, name, &shown);
            renamed.unwrap_or_else(|| places.set(&right, value.clone()))
        };
        return Some(Fault::new(places, path, what, change));
    }
    let other = retyped(value).into_iter().find(|value| parse(value.clone()).is_ok());
    let right = other.or_else(|| example(path)).unwrap_or_else(|| Value::String("...".to_owned()));
    let (what, shown) = if is_secret {
        (format!("{path}: it must be text in quotes"), Value::String("...".to_owned()))
    } else {
        (format!("{path} = {value}: {message}"), right)
    };
    let change: Change = places.set(path, shown);
    Some(Fault::new(places, path, what, change))
}

/// The value as what may have been meant: a number in quotes, or text without.
fn retyped(value: &Value) -> Vec<Value> {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let number = text.trim().parse().ok().map(Value::Integer);
    let switch = text.trim().parse().ok().map(Value::Boolean);
    let list = Value::Array(vec![Value::String(text.clone())]);
    [number, switch, Some(Value::String(text)), Some(list)].into_iter().flatten().collect()
}

/// What could stand there: the default, or what the documents show where there is none.
pub(super) fn example(path: &str) -> Option<Value> {
    let shown = match path.rsplit_once('.').map_or(path, |(_, name)| name) {
        "public_ip" => "203.0.113.7",
        "endpoint" => "voice.example.org:443",
        "certificate" => "/etc/lvsp/chain.pem",
        "key" => "/etc/lvsp/key.pem",
        "name" => "litecord",
        "allow" => return Some(Value::Array(vec!["10.0.0.0/8".into()])),
        "trusted_proxies" => return Some(Value::Array(vec!["127.0.0.1/32".into()])),
        "hosts" => return Some(Value::Array(vec!["voice.example.org".into()])),
        _ if path == "admin.listen" => "127.0.0.1:9900",
        _ => {
            let defaults: Table = File::default().to_masked_toml().ok()?.parse().ok()?;
            let (section, name) = path.rsplit_once('.')?;
            let section = section.split_once('.').map_or(section, |(section, _)| section);
            return defaults.get(section)?.get(name).cloned();
        }
    };
    Some(shown.into())
}

fn nested(section: &str, keys: Table) -> Table {
    Table::from_iter([(section.to_owned(), Value::Table(keys))])
}

fn is_known(section: &str) -> bool {
    nested(section, Table::new()).try_into::<File>().is_ok()
}
