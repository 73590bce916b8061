//! Problems of the LAN broker's users, roles and listeners.

use super::*;

const TEXT: &str = r##"gateway: { name: g }
broker:
  listeners: [ { tcp: '0.0.0.0:1883' }, { tcp: '0.0.0.0:1884', anonymous: true }, { tcp: '0.0.0.0:1885', anonymous: raed }, { ws: '127.0.0.1:8083', identity: cn }, { tls: '0.0.0.0:1', certificate: c, key: k, identity: cn } ]
  users:
    a: { password: secret, roles: [ raed ] }
    b: { password: '$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$qqSCqQPLbO7RKU+qFwvGng1pxgNv8yNZ1h4P0e1n3bQ' }
    c: { roles: [ read, cell ] }
    d: { password: '$argon2id$v=19$m=19456,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$qqSCqQPLbO7RKU+qFwvGng1pxgNv8yNZ1h4P0e1n3bQ', publish: 'a/{clent}' }
    e: { password: '$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$qqSCqQPLbO7RKU+qFwvGng1pxgNv8yNZ1h4P0e1n3bQ', retain: '#', qos-max: 3, subscribe: '#', role: admin }
  roles: { read: { publish: a }, empty: {}, cell: { qos-max: 1 }, bad: { subscribe: [ 'a#' ] } }
  acl: {}"##;

const WANT: &str = r##"t:3:75 warning: broker.listeners[1].anonymous: everyone who reaches 0.0.0.0:1884 may use the broker without a name; write users, and anonymous: false
t:3:117 broker.listeners[2].anonymous: there is no role "raed"; did you mean read?
t:3:149 broker.listeners[3].identity: belongs to a listener tls or wss
t:3:209 broker.listeners[4].identity: needs client-ca beside it
t:5:20 broker.users.a.password: is no password hash; the password itself does not belong here; make it with fieldhold broker password
t:5:37 broker.users.a.roles[0]: there is no role "raed"; did you mean read?
t:6:5 broker.users.b: says nothing that it may do; write roles: [ read ]
t:7:5 broker.users.c: has no password, and no listener asks for certificates; fieldhold broker password makes the line
t:8:20 warning: broker.users.d.password: is a hash that is quickly guessed; make it with fieldhold broker password
t:8:130 broker.users.d.publish: there is no placeholder {clent}, only {client} and {user}
t:9:129 broker.users.e.retain: retain without publish allows nothing; write publish beside it
t:9:143 broker.users.e.qos-max: "3" is unknown; one of 0, 1, 2
t:9:162 broker.users.e.role: write roles: [ read ]
t:10:12 broker.roles.read: the role read is built in; give it another name
t:10:34 broker.roles.empty: says nothing that it may do; write publish: [ filters ], subscribe: [ filters ], or both
t:10:45 broker.roles.cell: says nothing that it may do; write publish: [ filters ], subscribe: [ filters ], or both
t:10:53 broker.roles.cell.qos-max: limits the filters beside it, and there are none
t:10:87 broker.roles.bad.subscribe[0]: '+' stands for a whole level and '#' for all the last levels
t:11:3 broker.acl: what a client may do stands with its user, or in roles"##;

#[test]
fn of_users_roles_and_listeners() {
    assert_eq!(said(TEXT), WANT);
}

#[test]
fn a_listener_that_lets_nobody_in_is_a_mistake() {
    for (listener, path) in [
        ("tcp: '0.0.0.0:1883'", "tcp"),
        ("ws: '127.0.0.1:8083'", "ws"),
        ("tls: '127.0.0.1:8883', certificate: c, key: k, client-ca: a", "tls"),
    ] {
        let text = format!("gateway: {{ name: g }}\nbroker: {{ listeners: [ {{ {listener} }} ] }}");
        let said = said(&text);
        let want = format!("broker.listeners[0].{path}: nobody can connect: there are no users");
        assert!(said.contains(&want) && said.lines().count() == 1, "{said}");
        let empty = text.replace(" ] }", " ], users: {} }");
        assert_eq!(self::said(&empty), said);
    }
}

#[test]
fn who_comes_in_without_a_name_depends_on_the_place() {
    let user = format!("users: {{ u: {{ roles: [ read ], password: {HASH} }} }}");
    for (listener, anonymous) in [
        ("tcp: '127.0.0.1:1883'", true),
        ("tcp: '[::1]:1883'", true),
        ("unix: mqtt.sock", true),
        ("tls: '127.0.0.1:1', certificate: c, key: k", true),
        ("tls: '127.0.0.1:1', certificate: c, key: k, client-ca: a", false),
        ("ws: '127.0.0.1:1'", false),
        ("tcp: '0.0.0.0:1'", false),
        ("tcp: '192.168.1.1:1'", false),
        ("tcp: '127.0.0.1:1', anonymous: false", false),
        ("tcp: '127.0.0.1:1', anonymous: read", true),
    ] {
        let text = format!(
            "gateway: {{ name: g }}\nbroker: {{ listeners: [ {{ {listener} }} ], {user} }}"
        );
        let plan = parse(&text, "t").unwrap_or_else(|problems| panic!("{problems}")).plan;
        let broker = plan.broker.unwrap();
        assert_eq!(broker.listeners[0].anonymous.is_some(), anonymous, "{listener}");
    }
}

const HASH: &str = "\"$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$qqSCqQPLbO7RKU+qFwvGng1pxgNv8yNZ1h4P0e1n3bQ\"";
