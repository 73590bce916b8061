//! Remote configuration: what is taken, and wrong texts with what is said about them.

use super::problems::{Rows, compare};
use super::*;

const KEY: &str = "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";

fn uplink(remote: &str) -> String {
    let remote = remote.replace("KEY", KEY);
    format!("{AROUND}uplinks: {{ c: {{ url: mqtt://h, prefix: p, remote: {remote} }} }}")
}

#[test]
fn of_remote_configuration() {
    let rows: &Rows = &[
        ("{}", &["t:6:43 uplinks.c.remote: the key keys is missing"]),
        (
            "{ keys: {} }",
            &["t:6:53 uplinks.c.remote.keys: names no key, so nobody could change anything"],
        ),
        (
            "{ keys: { a: x, b: MCowBQYDK2VwAyEA, c: MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g } }",
            &[
                "t:6:64 uplinks.c.remote.keys.a: this is no Ed25519 public key; write what stands between BEGIN and END of `openssl pkey -in ops.pem -pubout`",
                "t:6:70 uplinks.c.remote.keys.b: this is no Ed25519 public key; write what stands between BEGIN and END of `openssl pkey -in ops.pem -pubout`",
                "t:6:91 uplinks.c.remote.keys.c: this is a private key, which belongs to nobody but its owner; make a new one, and write its public key here",
            ],
        ),
        (
            "{ keys: { a: KEY }, groups: [a/b], group-topic: g, confirm: 4s, topic: 'x/+' }",
            &[
                "t:6:137 uplinks.c.remote.groups[0]: a name can't hold '/'; use letters, digits, '_', '-' and '.'",
                "t:6:156 uplinks.c.remote.group-topic: names no {group}, so all groups would share one topic",
                "t:6:168 uplinks.c.remote.confirm: 4s is out of range; allowed are 5s to 1h",
                "t:6:179 uplinks.c.remote.topic: a topic name can't hold the wildcards '+' and '#'",
            ],
        ),
        (
            "{ keys: { a: KEY }, groups: [a, a] }",
            &["t:6:43 uplinks.c.remote.topic: the topic \"groups/a/config/set\" is used twice"],
        ),
    ];
    compare(rows, |text| said(&uplink(text)));
}

#[test]
fn it_needs_somewhere_to_go_back_to_and_topics_of_its_own() {
    let text = format!("{}\nstore: {{ path: none }}", uplink("{ keys: { a: KEY } }"));
    assert!(said(&text).contains("uplinks.c: remote configuration needs a state directory"));
    for topic in ["g/config", "g/config/status", "g/config/current"] {
        let tag = format!("t: {{ holding: 0, type: u16, topic: {topic} }}");
        let text = format!(
            "{}\ndevices: {{ d: {{ bus: tcp1, tags: {{ {tag} }} }} }}",
            uplink("{ keys: { a: KEY } }")
        );
        let wanted =
            format!("the remote configuration's topic \"{topic}\" is that of devices.d.tags.t");
        assert!(said(&text).contains(&wanted), "{}", said(&text));
    }
}

#[test]
fn a_key_is_the_line_that_openssl_prints_or_all_of_it() {
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{KEY}\n-----END PUBLIC KEY-----\n");
    let block = pem.lines().fold(String::new(), |block, line| format!("{block}          {line}\n"));
    let text = format!(
        "{AROUND}uplinks:\n  c:\n    url: mqtt://h\n    prefix: p\n    remote:\n      groups: [line-a]\n      \
         keys:\n        one: {KEY}\n        two: |\n{block}"
    );
    let plan =
        parse(&text, "t").map(|loaded| loaded.plan).unwrap_or_else(|problems| panic!("{problems}"));
    let remote = plan.uplinks[0].remote.clone().unwrap();
    assert_eq!(remote.keys[0].public, remote.keys[1].public);
    assert_eq!(remote.keys[0].public[..4], [0xd7, 0x5a, 0x98, 0x01]);
    let topics: Vec<String> = remote.subscribed().chain(remote.published()).collect();
    let wanted = [
        "p/g/config/set",
        "p/g/config/get",
        "p/g/config/confirm",
        "groups/line-a/config/set",
        "groups/line-a/config/confirm",
        "p/g/config/status",
        "p/g/config/current",
    ];
    assert_eq!(topics, wanted);
    assert_eq!(remote.confirm, std::time::Duration::from_secs(120));
}
