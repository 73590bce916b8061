//! The web page: when there is one, and wrong texts with what is said about them.

use std::path::Path;

use super::problems::{Rows, compare};
use super::*;

fn text(web: &str) -> String {
    format!("{AROUND}uplinks: {{ c: {{ url: mqtt://h }} }}\nweb: {web}\n")
}

#[test]
fn of_the_web_page() {
    let rows: &Rows = &[
        (
            "{ listen: 8443 }",
            &[
                "t:7:16 web.listen: \"8443\" is no address with a port; write it as in 127.0.0.1:1883 or [::1]:1883",
            ],
        ),
        ("on", &["t:7:6 web: \"on\" is unknown; write off, or web: { listen: … }"]),
        ("[]", &["t:7:6 web: expected a mapping, found a list"]),
        ("{ tls: devise }", &["t:7:13 web.tls: \"devise\" is unknown; did you mean device?"]),
        (
            "{ tls: off }",
            &[
                "t:7:13 warning: web.tls: passwords go to 0.0.0.0:8443 in clear text; leave tls away, or listen on 127.0.0.1 behind a proxy that has TLS",
            ],
        ),
        (
            "{ tls: { certificate: a.pem, cert: b.pem } }",
            &["t:7:35 web.tls.cert: the page's certificate is called certificate"],
        ),
        ("{ tls: { certificate: a.pem } }", &["t:7:8 web.tls: the key key is missing"]),
        (
            "{ hosts: [ 'https://a.b', '*', a:80, '' ] }",
            &[
                "t:7:17 web.hosts[0]: \"https://a.b\" is no name of a host; write it as in gateway.plant.lan, without https:// and without the port",
                "t:7:32 web.hosts[1]: \"*\" is no name of a host; write each name: a page of anybody's could have any other",
                "t:7:37 web.hosts[2]: \"a:80\" is no name of a host; write it as in gateway.plant.lan, without https:// and without the port",
                "t:7:43 web.hosts[3]: is empty",
            ],
        ),
        (
            "{ connections: 2, password: x }",
            &[
                "t:7:21 web.connections: 2 is out of range; allowed are 8 to 10000",
                "t:7:24 web.password: accounts are made on the page; fieldhold user passwd NAME sets a password",
            ],
        ),
    ];
    compare(rows, |web| said(&text(web)));
}

#[test]
fn it_is_on_unless_it_is_switched_off_or_nothing_is_kept() {
    let web = |rest: &str| parse(&format!("{AROUND}{rest}"), "t").unwrap().plan.web;
    let page = web("").unwrap();
    assert_eq!((page.listen.to_string().as_str(), &page.tls), ("0.0.0.0:8443", &WebTls::Device));
    assert!(page.hosts.is_empty());
    for same in ["web:\n", "web: {}\n"] {
        assert_eq!(web(same), Some(page.clone()));
    }
    for off in ["web: off\n", "web: false\n", "store: { path: none }\n"] {
        assert_eq!(web(off), None, "{off}");
    }
    let said = said(&format!("{AROUND}store: {{ path: none }}\nweb: {{}}\n"));
    assert!(
        said.contains("t:7:1 web: the page keeps its accounts in the store's directory"),
        "{said}"
    );
}

#[test]
fn its_names_are_compared_in_small_letters_and_its_files_lie_beside_the_configuration() {
    let text = text(
        "{ hosts: [ Gate.Plant.lan, '10.0.0.1', '::1' ], tls: { certificate: c.pem, key: /k } }",
    );
    let mut plan = parse(&text, "t").unwrap().plan;
    let directory = Path::new("/etc/fieldhold");
    plan.anchor(directory, |file| directory.join(file));
    let page = plan.web.clone().unwrap();
    assert_eq!(page.hosts, ["gate.plant.lan", "10.0.0.1", "::1"]);
    let WebTls::Files(files) = &page.tls else { panic!("no files") };
    assert_eq!(files.certificate, Path::new("/etc/fieldhold/c.pem"));
    assert_eq!(files.key, Path::new("/k"));
    let mut other = plan.clone();
    other.web = None;
    assert_eq!(plan.diff(&other), Changes { web: true, ..Changes::default() });
}
