//! Every preset drains its backlog into an emulation of its service, which ends the connection at the
//! first message beyond a limit. Time is tokio's own, which jumps where nobody has anything to do.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use super::edge_node::node;
use super::emulated::{Connection, Counts};
use super::fake::Fake;
use super::world::{World, bare_plan};
use crate::config::clouds::{self, Service, ServiceLimits};
use crate::config::file::SecretPlaces;
use crate::config::{RatePlan, UplinkPlan};
use crate::model::{Form, TopicFilter, TopicName, Wall};
use crate::uplink::settings;

/// An acknowledgement from a cloud, on a good line.
const LATENCY: Duration = Duration::from_millis(40);

struct Emulation {
    addr: SocketAddr,
    counts: Arc<Mutex<Counts>>,
    _tasks: JoinSet<()>,
}

impl Emulation {
    async fn of(limits: &ServiceLimits) -> Self {
        Self::behind(limits, Duration::ZERO).await
    }

    /// Behind a line that carries only so often, and then all at once.
    async fn behind(limits: &ServiceLimits, stall: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let counts = Arc::new(Mutex::new(Counts::default()));
        let (limits, shared) = (limits.clone(), counts.clone());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let started = Instant::now();
            let mut connection = Connection::new(&limits, LATENCY);
            while let Ok((socket, _)) = listener.accept().await {
                serve(socket, &mut connection, &shared, started, stall).await;
            }
        });
        Self { addr, counts, _tasks: tasks }
    }

    fn counts(&self) -> Counts {
        self.counts.lock().unwrap().clone()
    }
}

async fn serve(
    mut socket: TcpStream,
    connection: &mut Connection,
    counts: &Mutex<Counts>,
    started: Instant,
    stall: Duration,
) {
    let mut buffer = Vec::new();
    loop {
        if !stall.is_zero() {
            sleep(stall).await;
        }
        // All that has come.
        buffer.reserve(1 << 20);
        let due = connection.due();
        let answer = tokio::select! {
            read = socket.read_buf(&mut buffer) => {
                if !read.is_ok_and(|bytes| bytes > 0) {
                    return;
                }
                let now = started.elapsed();
                connection.take(now, &mut buffer, &mut counts.lock().unwrap())
            }
            () = sleep_until(started + due.unwrap_or_default()), if due.is_some() => {
                Some(connection.acknowledge(started.elapsed()))
            }
        };
        let Some(answer) = answer else { return };
        if socket.write_all(&answer).await.is_err() {
            return;
        }
    }
}

/// What the preset makes of an uplink, at the emulation's address and without TLS.
fn plan(service: &Service, addr: SocketAddr, backlog: Form) -> UplinkPlan {
    let text = format!(
        "gateway: {{ name: g }}\nuplinks:\n  cloud: {{ preset: {}, url: 'mqtts://h', certificate: a, \
         key: b, username: u, password: {{ file: f }} }}",
        service.name
    );
    let loaded = crate::config::parse(&text, service.name).unwrap_or_else(|why| panic!("{why}"));
    let wanted = loaded.plan.uplinks.into_iter().next().unwrap();
    UplinkPlan { backlog, ..bare_plan(wanted, addr) }
}

/// Whichever of several hubs is dialled, it is called by its own name.
#[test]
fn a_login_names_the_hub_that_is_dialled() {
    let text = "gateway: { name: g }\nuplinks:\n  cloud: { preset: azure-iot-hub, client-id: d7, \
                url: ['mqtts://one.example', 'mqtts://two.example'], sas: { key: { file: hub.key } } }";
    let loaded = crate::config::parse(text, "t").unwrap();
    let plan = UplinkPlan { tls: None, ..loaded.plan.uplinks.into_iter().next().unwrap() };
    let dir = tempfile::tempdir().unwrap();
    let mut key = std::fs::File::create(dir.path().join("hub.key")).unwrap();
    std::io::Write::write_all(&mut key, b"c2VjcmV0IGtleQ==").unwrap();
    let places = SecretPlaces::new(dir.path().to_owned());
    for (broker, host) in ["one.example", "two.example"].into_iter().enumerate() {
        let dial = settings::dial(&plan, &places, broker, Wall(0)).unwrap();
        let (username, token) = dial.hello.login.unwrap();
        assert_eq!((dial.target.host.as_str(), username.split('/').next()), (host, Some(host)));
        assert!(token.contains(&format!("sr={host}%2Fdevices%2Fd7&")), "{token}");
    }
}

const FOR_EVER: Duration = Duration::from_secs(1_000_000);

/// Rows in the backlog of each.
const BATCHES: u64 = 500;

async fn drain(
    service: &Service,
    emulation: &Emulation,
    wanted: impl FnOnce(&World) -> UplinkPlan,
) -> (Counts, Duration) {
    let mut world = World::new();
    // The sockets are the kernel's, whose work the paused clock does not wait for: on a busy machine many
    // of its seconds may pass before an answer that was written can be read.
    (world.timing.watchdog, world.timing.connect) = (FOR_EVER, FOR_EVER);
    world.append(BATCHES);
    let started = Instant::now();
    let running = world.start(wanted(&world));
    loop {
        let status = running.port.status();
        assert_eq!(emulation.counts().breaches, Vec::<String>::new(), "{}", service.name);
        if status.waiting == 0 {
            break;
        }
        assert!(started.elapsed() < Duration::from_secs(7_200), "{}: {status:#?}", service.name);
        sleep(Duration::from_millis(50)).await;
    }
    let took = started.elapsed();
    running.stop().await;
    let store = world.store.status();
    assert!(store.balances(), "{}: {store:?}", service.name);
    let delivered: u64 = store.consumers[0].classes.iter().map(|class| class.delivered).sum();
    assert_eq!(delivered, world.appended, "{}", service.name);
    (emulation.counts(), took)
}

#[tokio::test(start_paused = true)]
async fn no_service_sees_a_limit_broken_while_a_backlog_drains() {
    for service in clouds::services() {
        for backlog in [Form::Tag, Form::Columnar] {
            let emulation = Emulation::of(&service.limits).await;
            let wanted = plan(&service, emulation.addr, backlog.clone());
            let (counts, took) = drain(&service, &emulation, |_| wanted).await;
            println!("{} {backlog:?}: {took:?} {counts:?}", service.name);
            assert_eq!(counts.connects, 1, "{}: {counts:?}", service.name);
            if let (Some(rate), Form::Tag) = (service.limits.rate.messages, backlog) {
                // Where the rate is what it waits for, it is used.
                let messages = f64::from(u32::try_from(counts.messages).unwrap());
                let used = messages / took.as_secs_f64();
                assert!(rate > 100 || used > f64::from(rate) * 0.8, "{}: {used}/s", service.name);
            }
        }
    }
}

/// What went evenly may arrive in bursts; the service counts what arrives.
#[tokio::test(start_paused = true)]
async fn a_line_that_stutters_breaks_no_limit() {
    const STALL: Duration = Duration::from_millis(300);
    let aws = clouds::services().find(|service| service.name == "aws-iot-core").unwrap();
    let emulation = Emulation::behind(&aws.limits, STALL).await;
    let of_aws = plan(&aws, emulation.addr, Form::Tag);
    drain(&aws, &emulation, |_| of_aws).await;
    let (emulation, service) = of_an_edge_node(STALL).await;
    let fake = Fake::new([]).await;
    let (counts, _) = drain(&service, &emulation, |world| edge(world, &fake, &emulation)).await;
    assert!(counts.messages > 60 && counts.peak_messages == 4, "{counts:?}");
}

/// Of the data of an edge node, which nobody acknowledges.
const EDGE_RATE: RatePlan = RatePlan { messages: Some(5), bytes: None };

async fn of_an_edge_node(stall: Duration) -> (Emulation, Service) {
    let mut service = clouds::services().find(|service| service.name == "mosquitto").unwrap();
    service.limits.rate = EDGE_RATE;
    (Emulation::behind(&service.limits, stall).await, service)
}

fn edge(world: &World, fake: &Fake, emulation: &Emulation) -> UplinkPlan {
    UplinkPlan { rate: EDGE_RATE, ..bare_plan(node(world, fake, None), emulation.addr) }
}

/// A stop says farewell to hosts, and whoever comes after it knows nothing of the last second.
#[tokio::test(start_paused = true)]
async fn a_restart_in_the_middle_of_a_drain_breaks_no_limit() {
    let aws = clouds::services().find(|service| service.name == "aws-iot-core").unwrap();
    let fake = Fake::new([]).await;
    for is_edge in [false, true] {
        let emulation = match is_edge {
            false => Emulation::of(&aws.limits).await,
            true => of_an_edge_node(Duration::ZERO).await.0,
        };
        let mut world = World::new();
        (world.timing.watchdog, world.timing.connect) = (FOR_EVER, FOR_EVER);
        world.append(BATCHES);
        let plan = || match is_edge {
            false => plan(&aws, emulation.addr, Form::Tag),
            true => edge(&world, &fake, &emulation),
        };
        for sent in [7, 20] {
            let running = world.start(plan());
            while emulation.counts().messages < sent {
                sleep(Duration::from_millis(5)).await;
            }
            running.stop().await;
        }
        let running = world.start(plan());
        while running.port.status().waiting > 0 {
            sleep(Duration::from_millis(50)).await;
        }
        running.stop().await;
        let counts = emulation.counts();
        assert_eq!((counts.connects, counts.breaches), (3, Vec::new()));
        assert!(world.store.status().balances());
    }
}

/// The emulation is no good if it takes everything.
#[tokio::test]
async fn the_emulation_ends_a_connection_beyond_its_limits() {
    let aws = clouds::services().find(|service| service.name == "aws-iot-core").unwrap();
    let good = |addr| plan(&aws, addr, Form::Tag);
    type Change = fn(UplinkPlan) -> UplinkPlan;
    let changes: [(&str, Change); 4] = [
        ("messages in a second", |plan| UplinkPlan { rate: Default::default(), ..plan }),
        ("a keep-alive of", |plan| UplinkPlan { keep_alive: Duration::from_secs(1_500), ..plan }),
        ("messages of", |plan| UplinkPlan {
            rate: Default::default(),
            window_messages: 1_000,
            ..plan
        }),
        ("the topic", |plan| UplinkPlan {
            prefix: "1/2/3/4/5/6/7/8/".into(),
            service: None,
            ..plan
        }),
    ];
    for (breach, change) in changes {
        let mut limits = aws.limits.clone();
        if breach == "messages of" {
            limits.rate = Default::default();
        }
        let emulation = Emulation::of(&limits).await;
        let mut world = World::new();
        world.append(BATCHES);
        let running = world.start(change(good(emulation.addr)));
        let give_up = Instant::now() + Duration::from_secs(60);
        while emulation.counts().breaches.is_empty() {
            assert!(Instant::now() < give_up, "never {breach}");
            sleep(Duration::from_millis(20)).await;
        }
        let said = emulation.counts().breaches.remove(0);
        assert!(said.contains(breach), "{said}, not {breach}");
        running.stop().await;
    }
}

/// A LAN client may choose any topic; one that the service refuses is given up, and counted.
#[tokio::test]
async fn a_forwarded_topic_that_the_service_refuses_is_a_dead_letter() {
    let aws = clouds::services().find(|service| service.name == "aws-iot-core").unwrap();
    let emulation = Emulation::of(&aws.limits).await;
    let world = World::new();
    let plan = UplinkPlan {
        send: vec![TopicFilter::new("#").unwrap()],
        ..plan(&aws, emulation.addr, Form::Tag)
    };
    let running = world.start(plan);
    running.until("online", |status| status.connects == 1).await;
    world.forward(TopicName::new("a/b/c/d/e/f/g/h/i").unwrap());
    world.forward(TopicName::new("press/note").unwrap());
    let status =
        running.until("drained", |status| status.waiting == 0 && status.acked_rows == 1).await;
    assert_eq!(status.dead_rows.get("bad-topic"), Some(&1), "{status:?}");
    assert_eq!(emulation.counts().breaches, Vec::<String>::new());
    running.stop().await;
}
