//! What an operator may write, and what is said to the rest.

use lvsp_core::config::{ControlAuth, HealthScale, Revision};

use std::path::PathBuf;

use lvsp_core::config::ClientAddress;

use super::*;

const SECRET: &str = "secret = \"0123456789abcdef0123456789abcdef\"\n";

fn load(text: &str, environment: &[(&str, &str)]) -> Result<File, Faults> {
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let name = format!("lvsp-config-{}-{number}.toml", std::process::id());
    let path = std::env::temp_dir().join(name);
    fs::write(&path, text).unwrap();
    let variables = environment.iter().map(|(key, value)| ((*key).into(), (*value).into()));
    let file = File::load(Some(&path), variables);
    fs::remove_file(&path).unwrap();
    file
}

fn refusal(text: &str) -> String {
    let file = load(text, &[]).unwrap();
    format!("{:#}", file.check().expect_err("it cannot be served"))
}

#[test]
fn an_unknown_key_is_named_with_its_line_and_a_suggestion() {
    let error = load("[control]\nlisten = \"127.0.0.1:1\"\nsecrte = \"x\"\n", &[]).unwrap_err();
    let error = format!("{error:#}");
    assert!(error.contains(".toml:3: control.secrte: there is no such key"), "{error}");
    assert!(error.ends_with(".toml:3: secret = \"...\""), "the value stays out: {error}");
    assert!(error.contains("did you mean `secret`?"), "{error}");
}

#[test]
fn what_is_missing_is_said_with_the_reason() {
    assert!(refusal("[tls]\noff = true\n").contains("control: secret is missing"));
    let control = format!("[control]\n{SECRET}");
    assert!(refusal(&control).contains("tls.certificate and tls.key are missing"));
    let open = format!("{control}[tls]\noff = true\n[media]\nlisten = \"0.0.0.0:50000\"\n");
    assert!(refusal(&open).contains("media.public_ip is missing"));
    let open = format!("{control}[tls]\noff = true\n[gateway]\nlisten = \"0.0.0.0:443\"\n");
    assert!(refusal(&open).contains("gateway.endpoint is missing"));
    let plain = format!("[control]\nlisten = \"0.0.0.0:1\"\n{SECRET}[tls]\noff = true\n");
    assert!(refusal(&plain).contains("must be on loopback"));
}

#[test]
fn a_short_secret_is_refused_and_a_clients_dialect_passed_on() {
    let short = "[control]\nsecret = \"short\"\n[tls]\noff = true\n";
    assert!(refusal(short).contains("gen-secret"));
    let text = format!(
        "[tls]\noff = true\n[[control.client]]\nname = \"one\"\n{SECRET}revision = \"litecord\"\n\
         auth = \"hmac\"\nhealth = \"best-is-0\"\nlitecord_assign = true\n"
    );
    let client = load(&text, &[]).unwrap().options().unwrap().control_clients.remove(0);
    assert_eq!((client.revision, client.auth), (Revision::Litecord, ControlAuth::Hmac));
    assert_eq!((client.health, client.litecord_assign), (HealthScale::BestIs0, true));
    let text = format!("[control]\n{SECRET}revision = \"document\"\n[tls]\noff = true\n");
    let client = load(&text, &[]).unwrap().options().unwrap().control_clients.remove(0);
    assert_eq!((client.revision, client.auth), (Revision::Document, ControlAuth::Any));
}

#[test]
fn the_environment_overrides_scalar_keys() {
    let variables = [
        ("LVSP_MEDIA__RELAYS", "2"),
        ("LVSP_TLS__OFF", "true"),
        ("LVSP_CONTROL__LISTEN", "127.0.0.1:7000"),
        ("LVSP_LIMITS__SESSIONS", "5"),
        ("PATH", "/bin"),
    ];
    let file = load(&format!("[control]\n{SECRET}[media]\nrelays = 1\n"), &variables).unwrap();
    assert_eq!((file.media.relays, file.tls.off, file.limits.sessions), (2, true, 5));
    assert_eq!(file.control.listen.port(), 7_000);
    assert!(file.check().is_ok());
    assert!(load("", &[("LVSP_MEDIA__RELAY", "2")]).is_err(), "unknown keys here as well");
}

#[test]
fn text_that_looks_like_a_number_stays_text() {
    let digits = "01234567890123456789012345678901";
    let variables = [
        ("LVSP_CONTROL__SECRET", digits),
        ("LVSP_GATEWAY__ENDPOINT", "443"),
        ("LVSP_MEDIA__PUBLIC_IP", "203.0.113.7"),
        ("LVSP_TLS__KEY", "true"),
    ];
    let file = load("", &variables).unwrap();
    assert_eq!(file.control.secret.unwrap().expose(), digits);
    assert_eq!(file.gateway.endpoint.as_deref(), Some("443"));
    assert_eq!(file.media.public_ip, Some(Ipv4Addr::new(203, 0, 113, 7)));
    assert_eq!(file.tls.key, Some(PathBuf::from("true")));
}

#[test]
fn a_variable_of_the_wrong_kind_or_name_is_named() {
    for (variable, value, said) in [
        ("LVSP_MEDIA__RELAYS", "two", "invalid type: string \"two\", expected u16"),
        ("LVSP_MEDIA__RELAYS", "70000", "invalid value: integer `70000`, expected u16"),
        ("LVSP_TLS__OFF", "1", "expected a boolean"),
        ("LVSP_CONTROL__LISTEN", "here", "invalid socket address"),
        ("LVSP_LIMITS__SESSIONS", "-1", "expected usize"),
        ("LVSP_CONTROL__CLIENT", "[]", "give control.client in the file"),
        ("LVSP_CONTROL__ALLOW", "10.0.0.0/8", "give control.allow in the file"),
        ("LVSP_CONTROL__SECRTE", "x", "did you mean LVSP_CONTROL__SECRET?"),
        ("LVSP_CONTROL_SECRET", "x", "did you mean LVSP_CONTROL__SECRET?"),
        ("LVSP_MEDAI__RELAYS", "1", "did you mean LVSP_MEDIA__RELAYS?"),
        ("LVSP_LIMITS__SESSION", "1", "did you mean LVSP_LIMITS__SESSIONS?"),
    ] {
        let error = format!("{:#}", load("", &[(variable, value)]).unwrap_err());
        assert!(error.starts_with(&format!("{variable}: ")), "{error}");
        assert!(error.contains(said), "{error}");
    }
}

#[test]
fn variables_that_are_no_keys_are_left_alone() {
    let variables = [
        ("LVSP_CONFIG_FILE", "x"),
        ("LVSP_SERVICE_HOST", "10.0.0.1"),
        ("LVSP_PORT_443_TCP", "tcp://10.0.0.1:443"),
        ("LVSP_PORT", "tcp://10.0.0.1:443"),
    ];
    assert!(load("", &variables).is_ok());
}

/// A file with this in it, until it is dropped.
struct Temporary(PathBuf);

impl Temporary {
    fn new(name: &str, text: &str) -> Self {
        let name = format!("lvsp-config-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::write(&path, text).unwrap();
        Self(path)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[test]
fn a_secret_may_stand_in_a_file_of_its_own() {
    let secret = Temporary::new("secret", "fedcba9876543210fedcba9876543210\n");
    let path = secret.0.display();
    let text = format!("[control]\nsecret_file = \"{path}\"\n[tls]\noff = true\n");
    assert!(load(&text, &[]).unwrap().check().is_ok());

    let both = format!("[control]\n{SECRET}secret_file = \"{path}\"\n[tls]\noff = true\n");
    assert!(refusal(&both).contains("control: secret and secret_file are both given"));

    // The environment's file displaces the file's secret, and the other way round.
    let plain = format!("[control]\n{SECRET}[tls]\noff = true\n");
    let variable = ("LVSP_CONTROL__SECRET_FILE", path.to_string());
    let file = load(&plain, &[(variable.0, &variable.1)]).unwrap();
    assert!(file.control.secret.is_none() && file.check().is_ok());
    let file = load(&text, &[("LVSP_CONTROL__SECRET", "x")]).unwrap();
    assert!(file.control.secret_file.is_none());
}

#[test]
fn each_client_needs_exactly_one_secret() {
    let secret = Temporary::new("client", "fedcba9876543210fedcba9876543210\n");
    let path = secret.0.display();
    let clients = |two: &str| {
        format!(
            "[tls]\noff = true\n[[control.client]]\nname = \"one\"\n{SECRET}\
             [[control.client]]\nname = \"two\"\n{two}"
        )
    };
    let good = load(&clients(&format!("secret_file = \"{path}\"\n")), &[]).unwrap();
    assert!(good.check().is_ok());
    let text = good.to_masked_toml().unwrap();
    assert!(!text.contains("0123456789abcdef"), "{text}");
    let neither = refusal(&clients(""));
    assert!(neither.contains("[[control.client]] \"two\": secret is missing"), "{neither}");
    let both = refusal(&clients(&format!(
        "secret = \"abcdefghijklmnopqrstuvwxyz123456\"\nsecret_file = \"{path}\"\n"
    )));
    assert!(both.contains("[[control.client]] \"two\": secret and secret_file"), "{both}");
    let absent = refusal(&clients("secret_file = \"/nonexistent/secret\"\n"));
    assert!(absent.contains("\"two\": secret_file = /nonexistent/secret"), "{absent}");
}

#[test]
fn what_only_shows_together_is_found_before_a_start() {
    let same = format!(
        "[tls]\noff = true\n[[control.client]]\nname = \"one\"\n{SECRET}\
         [[control.client]]\nname = \"two\"\n{SECRET}"
    );
    assert!(refusal(&same).contains("have the same secret"));
    let ports = format!(
        "[control]\n{SECRET}[tls]\noff = true\n[media]\nlisten = \"127.0.0.1:65535\"\nrelays = 2\n"
    );
    assert!(refusal(&ports).contains("above 65535"));
    for (section, key, value, range) in [
        ("limits", "heartbeat_interval_ms", 30_000, "1000 to 29000"),
        ("limits", "handshakes_per_s", 0, "1 to 100000"),
        ("limits", "media_latency_ms", 4, "5 to 10000"),
        ("drain", "seconds", 86_401, "0 to 86400"),
        ("media", "coalesce_ms", 11, "0 to 10"),
    ] {
        let text = format!("[control]\n{SECRET}[tls]\noff = true\n[{section}]\n{key} = {value}\n");
        let said = refusal(&text);
        assert!(said.contains(&format!("{section}.{key} = {value} is out of range")), "{said}");
        assert!(said.contains(range), "{said}");
    }
}

#[test]
fn proxies_are_networks_and_never_everybody() {
    let gateway = |keys: &str| format!("[control]\n{SECRET}[tls]\noff = true\n[gateway]\n{keys}");
    let good = gateway(
        "trusted_proxies = [\"127.0.0.1/32\", \"2001:db8::/48\"]\nclient_address = \"proxy-protocol\"",
    );
    let file = load(&good, &[]).unwrap();
    assert!(!file.hides_clients());
    let proxies = file.options().unwrap().proxies;
    assert_eq!((proxies.trusted.len(), proxies.client_address), (2, ClientAddress::ProxyProtocol));
    let alone = gateway("client_address = \"forwarded\"");
    assert!(refusal(&alone).contains("without gateway.trusted_proxies"));
    assert!(refusal(&gateway("trusted_proxies = [\"0.0.0.0/0\"]")).contains("everybody"));
    let error = load(&gateway("trusted_proxies = [\"proxy.example.org\"]"), &[]).unwrap_err();
    assert!(format!("{error:#}").contains(".toml:6: gateway.trusted_proxies"), "{error:#}");
    let variable = ("LVSP_GATEWAY__TRUSTED_PROXIES", "127.0.0.1/32");
    let error = load("", &[variable]).unwrap_err();
    assert!(format!("{error:#}").contains("give gateway.trusted_proxies in the file"), "{error:#}");
    assert!(load(&gateway(""), &[]).unwrap().hides_clients());
}

#[test]
fn a_secret_is_masked_wherever_it_is_printed() {
    let file = load(&format!("[control]\n{SECRET}[tls]\noff = true\n"), &[]).unwrap();
    let text = file.to_masked_toml().unwrap();
    assert!(!text.contains("0123456789abcdef"), "{text}");
    assert!(load(&text, &[]).is_ok(), "what is printed can be read again");
    assert!(!format!("{file:?}").contains("0123456789abcdef"));
}

/// Everything that is wrong with a text.
fn faults(text: &str) -> Vec<Fault> {
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let file = Temporary::new(&format!("faults-{number}"), text);
    let checked = File::load_checked(Some(&file.0), std::iter::empty());
    checked.err().into_iter().flatten().collect()
}

/// A text with the change made; `None` where it is to be made elsewhere.
fn changed(text: &str, change: &Change) -> Option<String> {
    let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
    // From below upwards, so that the numbers of lines stay what they are.
    let mut steps: Vec<_> = change.steps.iter().collect();
    steps.sort_by_key(|step| match &step.place {
        Place::Line { line, .. } | Place::Below { line, .. } => usize::MAX - line,
        Place::Within { .. }
        | Place::End { .. }
        | Place::NewFile
        | Place::Environment
        | Place::Shell
        | Place::Unit
        | Place::Zone
        | Place::Proxy => 0,
    });
    let mut is_here = false;
    for Step { place, lines: new } in steps {
        let new = new.iter().cloned();
        match place {
            Place::Line { line, last, .. } => drop(lines.splice(line - 1..*last, new)),
            Place::Below { line, .. } => drop(lines.splice(line..line, new)),
            Place::End { .. } => lines.extend(new),
            Place::Within { .. }
            | Place::NewFile
            | Place::Environment
            | Place::Shell
            | Place::Unit
            | Place::Zone
            | Place::Proxy => continue,
        }
        is_here = true;
    }
    is_here.then(|| lines.join("\n"))
}

#[test]
fn several_keys_are_given_each_at_its_own_place() {
    for (text, said) in [
        ("[gateway]\nclient_address = \"forwarded\"\n", 2),
        ("gateway.trusted_proxies = [\n\"10.0.0.0/8\",\n]\n", 2),
        ("[gateway]\n", 1),
        ("", 1),
    ] {
        let both = [
            ("trusted_proxies", vec!["127.0.0.1/32"].into()),
            ("client_address", "proxy-protocol".into()),
        ];
        let change = load(text, &[]).unwrap().places.set_all("gateway", both);
        assert_eq!(change.steps.len(), said, "{change:?}");
        let text = changed(text, &change).unwrap();
        let gateway = load(&text, &[]).unwrap_or_else(|error| panic!("{text}: {error}")).gateway;
        assert_eq!(gateway.trusted_proxies.len(), 1, "{text}");
        assert_eq!(gateway.client_address, ClientAddress::ProxyProtocol, "{text}");
    }
}

#[test]
fn everything_that_is_wrong_is_named_in_one_go_with_its_line() {
    let text = "[control]\nsecret = \"short\"\ngrace = 90000\n[tls]\noff = true\n[media]\n\
                relays = \"many\"\ncoalesce_ms = 99\nlisten = \"0.0.0.0:50000\"\n[gateway]\n\
                listen = \"0.0.0.0:443\"\nclient_address = \"forwarded\"\n[limits]\nsessions = 0\n\
                heartbeat_interval_ms = 1\nno_such_limit = 1\n[nowhere]\nx = 1\n";
    let faults = faults(text);
    let found: Vec<_> = faults
        .iter()
        .map(|fault| {
            let place = fault.place.as_deref().unwrap();
            let line = place.rsplit_once(':').and_then(|(_, line)| line.parse::<usize>().ok());
            (fault.key.as_str(), line)
        })
        .collect();
    let wanted = [
        ("limits.no_such_limit", Some(16)),
        ("media.relays", Some(7)),
        ("nowhere", Some(17)),
        ("control.grace", Some(3)),
        ("media.coalesce_ms", Some(8)),
        ("media.public_ip", None),
        ("gateway.endpoint", None),
        ("control.secret", Some(2)),
        ("gateway.trusted_proxies", None),
        ("limits.sessions", Some(14)),
        ("limits.heartbeat_interval_ms", Some(15)),
    ];
    assert_eq!(found, wanted, "{faults:#?}");
    let said = Faults::none_or(faults, ()).unwrap_err().to_string();
    assert!(said.starts_with("11 faults\n"), "{said}");
    assert!(!said.contains("short"), "a secret stays out: {said}");
}

#[test]
fn what_is_to_be_written_is_taken_and_mends_what_it_is_for() {
    let good = format!("[tls]\noff = true\n[control]\n{SECRET}");
    let two = |second: &str| {
        format!(
            "[tls]\noff = true\n[[control.client]]\nname = \"one\"\n{SECRET}\
             [[control.client]]\nname = \"two\"\n{second}"
        )
    };
    let other = "secret = \"abcdefghijklmnopqrstuvwxyz123456\"\n";
    for (text, key) in [
        // Tables, dotted keys, keys that stand nowhere.
        (format!("{good}[media]\nrelays = 0\n"), "media.relays"),
        (format!("media.relays = 0\n{good}"), "media.relays"),
        (format!("{good}[media]\nrelays = \"2\"\n"), "media.relays"),
        (format!("{good}[media]\nrelay = 2\n"), "media.relay"),
        (format!("media.relay = 2\n{good}"), "media.relay"),
        (format!("{good}[medai]\nrelays = 2\n"), "medai"),
        (format!("{good}[media]\nlisten = \"0.0.0.0:50000\"\n"), "media.public_ip"),
        (format!("media.listen = \"0.0.0.0:50000\"\n{good}"), "media.public_ip"),
        (format!("{good}[media]\nlisten = \"127.0.0.1:65535\"\nrelays = 2\n"), "media.listen"),
        (format!("{good}[media]\npublic_ip = \"0.0.0.0\"\n"), "media.public_ip"),
        (format!("{good}[media]\npublic_ip = \"here\"\n"), "media.public_ip"),
        (format!("{good}[gateway]\nlisten = \"0.0.0.0:443\"\n"), "gateway.endpoint"),
        (format!("{good}[gateway]\nlisten = 443\n"), "gateway.listen"),
        (format!("{good}[gateway]\nclient_address = \"forwarded\"\n"), "gateway.trusted_proxies"),
        (
            format!("{good}[gateway]\ntrusted_proxies = [\n\"0.0.0.0/0\",\n]\n"),
            "gateway.trusted_proxies",
        ),
        (
            format!("{good}[gateway]\ntrusted_proxies = \"127.0.0.1/32\"\n"),
            "gateway.trusted_proxies",
        ),
        (format!("{good}[limits]\nsessions = 0\n"), "limits.sessions"),
        (format!("{good}[drain]\nseconds = 100000\n"), "drain.seconds"),
        (format!("{good}[admin]\nlisten = \"0.0.0.0:9900\"\n"), "admin.listen"),
        (format!("{good}listen = \"0.0.0.0:6000\"\n"), "control.listen"),
        (format!("{good}secret_file = \"/nonexistent\"\n"), "control.secret"),
        (format!("{good}grace = 90000\n"), "control.grace"),
        (format!("{good}revision = \"lvsp\"\n"), "control.revision"),
        ("[tls]\noff = true\n".to_owned(), "control.secret"),
        ("[tls]\noff = true\n[control]\nsecret = \"short\"\n".to_owned(), "control.secret"),
        ("[tls]\noff = true\n[control]\nsecret = 12345\n".to_owned(), "control.secret"),
        (format!("[control]\n{SECRET}"), "tls.certificate"),
        (format!("[control]\n{SECRET}[tls]\nkey = \"x\"\n"), "tls.certificate"),
        (format!("[control]\n{SECRET}[tls]\ncertificate = \"x\"\n"), "tls.key"),
        (two(""), "control.client[1].secret"),
        (two(SECRET), "control.client[1].secret"),
        (two("secret = \"short\"\n"), "control.client[1].secret"),
        (two(&format!("nmae = \"x\"\n{other}")), "control.client[1].nmae"),
        (two(other).replace("\"two\"", "\"one\""), "control.client[1].name"),
        (two(other).replace("name = \"two\"", ""), "control.client[1].name"),
        (format!("{}[control]\n{SECRET}", two(other)), "control.secret"),
    ] {
        let before = faults(&text);
        let fault = before.iter().find(|fault| fault.key == key);
        let fault = fault.unwrap_or_else(|| panic!("{key} in {text}: {before:#?}"));
        let mended: Vec<_> =
            fault.changes.iter().filter_map(|change| changed(&text, change)).collect();
        assert!(!mended.is_empty(), "no line for {fault:#?}");
        for mended in mended {
            let after = faults(&mended);
            let is_there = |after: &Fault| after.what == fault.what;
            assert!(!after.iter().any(is_there), "{mended}\nhas still {fault:#?}");
            assert!(
                !after.iter().any(|after| after.what.contains("column")),
                "{mended}: {after:#?}"
            );
        }
    }
}

#[test]
fn variables_are_mended_in_the_environment() {
    let variables = [("LVSP_MEDIA__RELAYS", "two"), ("LVSP_LIMITS__SESSION", "1")];
    let faults: Vec<_> = load("", &variables).unwrap_err().into_iter().collect();
    let lines: Vec<_> = faults.iter().flat_map(|fault| fault.changes[0].lines()).collect();
    assert_eq!(lines, ["LVSP_MEDIA__RELAYS=1", "LVSP_LIMITS__SESSIONS=..."]);
    let variables = [("LVSP_TLS__OFF", "true"), ("LVSP_DRAIN__SECONDS", "100000")];
    let file = load(&format!("[control]\n{SECRET}[drain]\nseconds = 1\n"), &variables).unwrap();
    let fault = file.check().unwrap_err().into_iter().next().unwrap();
    assert_eq!(fault.place.as_deref(), Some("LVSP_DRAIN__SECONDS"));
    assert_eq!(fault.changes[0].lines(), ["LVSP_DRAIN__SECONDS=86400"]);
}

#[test]
fn text_that_is_no_toml_is_named_at_every_place() {
    let faults = faults("[control]\nlisten = \n[media]\nrelays = many\n");
    let places: Vec<_> = faults.iter().map(|fault| fault.place.clone().unwrap()).collect();
    assert!(places[0].ends_with(":2") && places[1].ends_with(":4"), "{faults:#?}");
    assert_eq!(faults[0].changes[0].lines(), ["listen = \"...\""]);
}

#[test]
fn a_file_that_cannot_be_read_is_told_with_what_to_do() {
    let fault = |path: &Path| {
        let faults = File::load(Some(path), std::iter::empty()).unwrap_err();
        faults.into_iter().next().unwrap()
    };
    let absent = fault(Path::new("/nonexistent/lvsp.toml"));
    assert!(absent.what.contains("give its path with --config"), "{}", absent.what);
    let line = "env -u LVSP_CONFIG_FILE lvsp-mio print-config > /nonexistent/lvsp.toml";
    assert_eq!(absent.changes[0].lines(), [line]);
    let folder = fault(&std::env::temp_dir());
    assert!(folder.what.contains("it is a folder"), "{}", folder.what);
    let latin = Temporary::new("latin", "");
    fs::write(&latin.0, b"# \xe9\n").unwrap();
    assert!(fault(&latin.0).what.contains("no UTF-8 text"));
}
