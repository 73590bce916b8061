//! The plan: what the gateway does, validated. Tasks see the configuration only as this.
//!
//! A `Plan` holds no reference to files or tasks; comparing two plans part by part tells what has
//! to restart ([`Plan::diff`]).

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::broker::{BrokerPlan, Place};
use super::clouds::Service;
use super::home_assistant::HomeAssistantPlan;
use super::link::Link;
use super::remote::RemotePlan;
use super::share::SharePlan;
use super::sparkplug::SparkplugPlan;
use super::template::LiveTopic;
use super::web::{WebPlan, WebTls};
use super::write_rule::{WriteRule, WriteWith};
use crate::model::{
    Class, Coding, Form, Name, Qos, Table, TagId, TagMeta, TopicFilter, TopicName, ValueKind,
};

/// A whole configuration that passed every check.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    pub gateway: Gateway,
    pub buses: Vec<BusPlan>,
    /// `None` when no LAN broker is wanted.
    pub broker: Option<BrokerPlan>,
    pub uplinks: Vec<UplinkPlan>,
    pub store: StorePlan,
    /// `None` when no web page is wanted, or when there is no place for its accounts.
    pub web: Option<WebPlan>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Gateway {
    pub name: Name,
    pub site: Option<Name>,
    /// Where in the plant it stands, by the levels of ISA-95 beside the site.
    pub enterprise: Option<Name>,
    pub area: Option<Name>,
    pub line: Option<Name>,
    pub cell: Option<Name>,
}

impl Gateway {
    /// What placeholders stand for that are the same in every topic.
    pub(super) fn places(&self) -> [(&'static str, Option<&str>); 6] {
        fn text(name: Option<&Name>) -> Option<&str> {
            name.map(Name::as_str)
        }
        [
            ("enterprise", text(self.enterprise.as_ref())),
            ("site", text(self.site.as_ref())),
            ("area", text(self.area.as_ref())),
            ("line", text(self.line.as_ref())),
            ("cell", text(self.cell.as_ref())),
            ("gateway", Some(self.name.as_str())),
        ]
    }
}

/// One line or one TCP endpoint, with the devices on it.
#[derive(Debug, Clone, PartialEq)]
pub struct BusPlan {
    pub name: Name,
    pub link: Link,
    /// Least silence between two requests, on top of what the protocol asks for.
    pub pause: Duration,
    /// Memory for the last exchanges; 0 keeps none.
    pub trace_bytes: usize,
    /// The server face for other masters, if the bus is shared.
    pub share: Option<SharePlan>,
    pub devices: Vec<DevicePlan>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct DevicePlan {
    pub name: Name,
    /// Modbus unit (slave) id, 0 to 255 on TCP, 0 to 247 on a serial line, where 0 is everybody.
    pub unit: u8,
    /// The longest wait for an answer; what is learned may shorten it, never lengthen it. After a
    /// broadcast, which nobody answers, the time that the devices get to take it in.
    pub timeout: Duration,
    /// Least silence after its answer, before any device of its line is asked.
    pub pause: Duration,
    /// Most registers in one request, 1 to 125.
    pub registers_max: u16,
    /// Most coils or discrete inputs in one request, 1 to 2000.
    pub bits_max: u16,
    pub write_with: WriteWith,
    /// Where commands for several tags come, with `/set`: the tags' template without the level of
    /// the tag. `None` if no tag can be written, or if that does not name the device.
    pub topic: Option<TopicName>,
    /// Shared: of a large plant they are most of a plan, which many hold.
    pub tags: Arc<Vec<TagPlan>>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct TagPlan {
    /// The store's number of this tag; `TagId(0)` until [`Plan::assign_ids`].
    pub id: TagId,
    pub name: Name,
    pub topic: TopicName,
    pub class: Class,
    /// `None` for a tag that is not read but after it was written.
    pub every: Option<Duration>,
    pub source: Source,
    /// Engineering unit, empty if none.
    pub unit: String,
    pub publish: PublishRule,
    /// `None` for a read-only tag.
    pub write: Option<WriteRule>,
}

/// Where a tag's value comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    Registers(Registers),
    Field(FieldSource),
}

/// A field of a sensor's frame.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldSource {
    /// Its name in the description of the frame.
    pub name: Arc<str>,
    /// How that description makes it, as text.
    pub made: String,
    pub kind: ValueKind,
}

/// A value in the registers or bits of a Modbus device.
#[derive(Debug, Clone, PartialEq)]
pub struct Registers {
    pub table: Table,
    /// Zero-based address on the wire.
    pub address: u16,
    pub coding: Coding,
    /// Where the power of ten stands, in the same table; read with the value in one request.
    pub scale_register: Option<u16>,
}

impl Registers {
    /// All that is read for the value: its own registers and the one of its scale.
    pub fn range(&self) -> Range<u32> {
        let start = u32::from(self.address);
        let own = start..start + u32::from(self.coding.span().max(1));
        match self.scale_register.map(u32::from) {
            Some(scale) => own.start.min(scale)..own.end.max(scale + 1),
            None => own,
        }
    }

    /// The value's own words among those of [`Registers::range`], and the word of its scale.
    /// `None` when they are too few.
    pub fn split<'w>(&self, words: &'w [u16]) -> Option<(&'w [u16], Option<u16>)> {
        let first = self.address.min(self.scale_register.unwrap_or(self.address));
        let start = usize::from(self.address - first);
        let own = words.get(start..start + usize::from(self.coding.span().max(1)))?;
        match self.scale_register {
            Some(scale) => Some((own, Some(*words.get(usize::from(scale - first))?))),
            None => Some((own, None)),
        }
    }
}

impl TagPlan {
    /// What the store must know of it.
    pub(super) fn meta(&self, device: &DevicePlan) -> TagMeta {
        TagMeta {
            topic: self.topic.clone(),
            device: device.name.clone(),
            name: self.name.clone(),
            unit: self.unit.clone(),
            coding: self.source.meaning(),
            class: self.class,
        }
    }

    /// `None` for a tag of a device that does not speak Modbus.
    pub fn registers(&self) -> Option<&Registers> {
        match &self.source {
            Source::Registers(registers) => Some(registers),
            Source::Field(_) => None,
        }
    }

    /// `None` for a tag that is not a field of a sensor's frame.
    pub fn field(&self) -> Option<&FieldSource> {
        match &self.source {
            Source::Registers(_) => None,
            Source::Field(field) => Some(field),
        }
    }
}

impl Source {
    /// How the value is made, as text: two meanings never share a tag number of the store.
    fn meaning(&self) -> String {
        match self {
            Self::Registers(registers) => format!("{:?}", registers.coding),
            Self::Field(field) => field.made.clone(),
        }
    }
}

impl BusPlan {
    /// Whether a device of this bus is everybody on its line: written to, never asked.
    pub fn is_broadcast(&self, device: &DevicePlan) -> bool {
        device.unit == 0 && self.link.is_line()
    }
}

impl DevicePlan {
    /// The tags that are read from this table, by their index.
    pub fn in_table(&self, table: Table) -> impl Iterator<Item = (usize, &TagPlan, &Registers)> {
        let tags = self.tags.iter().enumerate();
        tags.filter_map(|(index, tag)| Some((index, tag, tag.registers()?)))
            .filter(move |(_, _, registers)| registers.table == table)
    }
}

/// When a value that was read becomes a reading.
#[derive(Debug, Clone, PartialEq)]
pub enum PublishRule {
    /// Every time it is read.
    Always,
    /// When it moved by at least `change` or its quality changed, and in any case after
    /// `at_least`; never sooner than `at_most_every` after the last one.
    OnChange { change: Deadband, at_least: Duration, at_most_every: Duration },
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Deadband {
    /// In engineering units; 0 means any difference.
    Absolute(f64),
    /// In percent of the last published value.
    Percent(f64),
}

#[derive(Debug, Clone, PartialEq)]
pub struct UplinkPlan {
    pub name: Name,
    /// At least one, tried in this order; the one that works is kept until it fails.
    pub brokers: Vec<BrokerUrl>,
    /// For those that are reached over TLS; `None` if none is.
    pub tls: Option<TlsPlan>,
    /// Protocols offered in the TLS handshake.
    pub alpn: Vec<String>,
    /// The name that is asked for and that the broker's certificate must have; `None`: its host.
    pub server_name: Option<String>,
    pub proxy: Option<ProxyPlan>,
    pub mqtt: MqttVersion,
    pub client_id: String,
    pub username: Option<Username>,
    pub password: Option<Secret>,
    /// A token that is made anew for every connection, in the place of a password.
    pub sas: Option<SasPlan>,
    pub keep_alive: Duration,
    /// The longest wait between two attempts to connect; each is drawn between nothing and the limit.
    pub reconnect_max: Duration,
    /// What is sent: readings and LAN messages whose topic matches one of these.
    pub send: Vec<TopicFilter>,
    /// Topics subscribed at the cloud broker for commands; each received topic is taken as a
    /// local `.../set` topic.
    pub receive: Vec<TopicFilter>,
    /// Topics subscribed at the cloud broker for the clients of the LAN broker; the first that
    /// matches counts.
    pub local: Vec<LocalPlan>,
    /// Put before every topic sent, with its slash; empty for none.
    pub prefix: String,
    /// What one live message looks like, and where it goes; so do messages of a backlog in a form
    /// that does not hold readings of several devices.
    pub live: Form,
    pub live_topic: LiveTopic,
    pub backlog: Form,
    /// Where backlog messages of many readings go (the prefix already applied).
    pub backlog_topic: TopicName,
    /// Whether messages of a backlog are sent in the zlib format.
    pub backlog_deflate: bool,
    /// The devices that ThingsBoard is told of when a connection begins; empty for other forms.
    pub thingsboard_devices: Vec<Name>,
    /// `None` if Home Assistant is told nothing.
    pub home_assistant: Option<HomeAssistantPlan>,
    /// Where gaps and corrections are told (the prefix already applied); `None` for nowhere.
    pub notices_topic: Option<TopicName>,
    /// Messages handed over and not yet acknowledged.
    pub window_messages: u16,
    pub window_bytes: usize,
    /// Most that is sent in any second.
    pub rate: RatePlan,
    /// Largest packet the cloud accepts; larger ones are dead letters, counted.
    pub packet_bytes: usize,
    /// Whether forwarded messages keep their retain flag.
    pub retain: bool,
    /// The cloud service whose limits hold; `None` for a broker that nothing is known of.
    pub service: Option<Arc<Service>>,
    pub policy: Policy,
    /// `None`: nobody changes the configuration over this uplink.
    pub remote: Option<RemotePlan>,
    /// As an edge node of Sparkplug, instead of topics and payloads of ours.
    pub sparkplug: Option<SparkplugPlan>,
}

impl UplinkPlan {
    /// Whether the service would take a message with this topic, the prefix included.
    pub fn takes_topic(&self, topic: &str) -> bool {
        let refuses = |service: &Arc<Service>| service.refuses_topic(topic, &self.client_id);
        self.service.as_ref().and_then(refuses).is_none()
    }
}

/// How much may be sent in any second; `None` for as much as can be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RatePlan {
    pub messages: Option<u32>,
    /// Of whole packets.
    pub bytes: Option<u64>,
}

/// Where a broker is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerUrl {
    pub host: String,
    pub port: u16,
    /// Over TLS.
    pub secure: bool,
    /// Over WebSocket at this path.
    pub path: Option<String>,
}

impl fmt::Display for BrokerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// As whom an uplink connects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Username {
    Plain(String),
    /// What stands before and behind the host of the broker that it is for.
    OfHost(String, String),
}

impl Username {
    pub fn at(&self, broker: &BrokerUrl) -> String {
        match self {
            Self::Plain(name) => name.clone(),
            Self::OfHost(before, behind) => format!("{before}{}{behind}", broker.host),
        }
    }
}

/// An HTTP proxy that connects further (CONNECT).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyPlan {
    pub host: String,
    pub port: u16,
    pub username: Option<String>,
    pub password: Option<Secret>,
}

/// Shared access signatures, as Azure takes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SasPlan {
    /// The file holds the key in base64.
    pub key: Secret,
    /// How long a token is good. The connection is made anew before it ends.
    pub lifetime: Duration,
    /// What it is for; `None`: `<host>/devices/<client id>`.
    pub resource: Option<String>,
    /// The name of the shared key, where it is not that of a device.
    pub policy: Option<String>,
}

/// Which version of the protocol is spoken with a cloud broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MqttVersion {
    V311,
    V5,
}

impl MqttVersion {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V311 => "3.1.1",
            Self::V5 => "5",
        }
    }
}

/// As they are written; `5` by its full name as well.
pub(super) const MQTT_VERSIONS: [(&str, MqttVersion); 3] =
    [("3.1.1", MqttVersion::V311), ("5", MqttVersion::V5), ("5.0", MqttVersion::V5)];

/// Messages of the cloud that are published on the LAN broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalPlan {
    pub filter: TopicFilter,
    /// Put before their topics, with a slash between.
    pub under: TopicName,
    /// The highest quality of service asked for.
    pub qos: Qos,
    /// Whether the LAN broker retains them.
    pub retain: bool,
}

/// Whether the store holds data back for this uplink until the quota, or lets it fall behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    Required,
    BestEffort,
}

#[derive(Debug, Clone, PartialEq)]
pub struct TlsPlan {
    /// PEM file of the certificate authorities to trust; `None` takes the system's.
    pub ca: Option<PathBuf>,
    /// Client certificate and key, PEM.
    pub client: Option<(PathBuf, PathBuf)>,
}

/// Where a secret lies; never the secret itself, and never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    /// A bare file name is looked up in `$CREDENTIALS_DIRECTORY` first, then beside the
    /// configuration file; an absolute path is taken as it is.
    pub file: PathBuf,
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// How much a power cut may cost, against how soon the card wears out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StoreMode {
    Safe,
    #[default]
    Balanced,
    SdSaver,
}

impl StoreMode {
    pub fn commit(self) -> Duration {
        Duration::from_millis(match self {
            Self::Safe => 100,
            Self::Balanced => 1_000,
            Self::SdSaver => 10_000,
        })
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StorePlan {
    /// The state directory; `None` keeps everything in memory (and says so).
    pub path: Option<PathBuf>,
    /// The commit window, of the mode or set exactly: at most this much is lost by a crash or a
    /// power cut.
    pub commit: Duration,
    /// Whether what all uplinks acknowledged within the window need not be written.
    pub write_behind: bool,
    /// Bytes that may be written to the card or disk before it wears out.
    pub endurance_bytes: u64,
    /// The byte quota; `None`: what the file system allows, seen when the store is opened.
    pub max_bytes: Option<u64>,
    pub max_age: Duration,
    /// Bound of the RAM tail.
    pub ram_bytes: usize,
}

/// What differs between two plans, by name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changes {
    pub gateway: bool,
    pub buses: Vec<Name>,
    pub uplinks: Vec<Name>,
    pub broker: bool,
    pub store: bool,
    pub web: bool,
}

impl Plan {
    /// Every tag with its bus and device.
    pub fn tags(&self) -> impl Iterator<Item = (&BusPlan, &DevicePlan, &TagPlan)> {
        self.buses.iter().flat_map(|bus| {
            bus.devices
                .iter()
                .flat_map(move |device| device.tags.iter().map(move |tag| (bus, device, tag)))
        })
    }

    pub fn devices(&self) -> impl Iterator<Item = &DevicePlan> {
        self.buses.iter().flat_map(|bus| &bus.devices)
    }

    /// Gives every tag its number: `ids` are those of [`Plan::metas`], in the same order.
    pub fn assign_ids(&mut self, ids: &[TagId]) {
        let tags = self
            .buses
            .iter_mut()
            .flat_map(|b| &mut b.devices)
            .flat_map(|d| Arc::make_mut(&mut d.tags));
        for (tag, id) in tags.zip(ids) {
            tag.id = *id;
        }
        let ids: HashMap<_, _> =
            self.tags().map(|(_, _, tag)| (tag.topic.clone(), tag.id)).collect();
        let nodes = self.uplinks.iter_mut().filter_map(|uplink| uplink.sparkplug.as_mut());
        let devices = nodes.flat_map(|node| &mut node.devices);
        for metric in devices.flat_map(|device| &mut device.metrics) {
            metric.tag = ids.get(&metric.topic).copied().unwrap_or_default();
        }
    }

    /// Every file of a password, a key or a certificate that it names. Those of keys and certificates
    /// are where [`Plan::anchor`] found them, those of passwords as they are written.
    pub fn secret_files(&self) -> Vec<&Path> {
        let tls = self.buses.iter().filter_map(|bus| bus.link.tls());
        let tls = tls.chain(self.uplinks.iter().filter_map(|uplink| uplink.tls.as_ref()));
        let clients = tls.flat_map(|tls| {
            let client = tls.client.iter().flat_map(|(certificate, key)| [certificate, key]);
            tls.ca.iter().chain(client)
        });
        let listeners = self.broker.iter().flat_map(|broker| &broker.listeners);
        let web = self.web.iter().filter_map(|web| match &web.tls {
            WebTls::Files(tls) => Some(tls),
            WebTls::Device | WebTls::Off => None,
        });
        let servers = listeners.filter_map(|listener| listener.tls.as_ref()).chain(web);
        let servers = servers
            .flat_map(|tls| [&tls.certificate, &tls.key].into_iter().chain(tls.client_ca.as_ref()));
        let passwords = self.uplinks.iter().flat_map(|uplink| {
            let of_proxy = uplink.proxy.as_ref().and_then(|proxy| proxy.password.as_ref());
            let key = uplink.sas.as_ref().map(|sas| &sas.key);
            let all = [uplink.password.as_ref(), key, of_proxy];
            all.into_iter().flatten().map(|secret| &secret.file)
        });
        clients.chain(servers).chain(passwords).map(PathBuf::as_path).collect()
    }

    /// Lets relative paths start at `directory`; keys and certificates are where `named` says.
    /// Passwords are looked up when they are needed, by the same rule (`file::SecretPlaces`).
    pub(super) fn anchor(&mut self, directory: &Path, named: impl Fn(&Path) -> PathBuf) {
        let of_buses = self.buses.iter_mut().filter_map(|bus| bus.link.tls_mut());
        let of_uplinks = self.uplinks.iter_mut().filter_map(|uplink| uplink.tls.as_mut());
        let tls = of_buses.chain(of_uplinks);
        let certificates = tls.flat_map(|tls| {
            let client = tls.client.iter_mut().flat_map(|(certificate, key)| [certificate, key]);
            tls.ca.iter_mut().chain(client)
        });
        let listeners = self.broker.iter_mut().flat_map(|broker| &mut broker.listeners);
        let of_listeners = listeners.flat_map(|listener| {
            if let Place::Path(path) = &mut listener.place {
                *path = directory.join(&*path);
            }
            listener.tls.iter_mut().flat_map(|tls| {
                [&mut tls.certificate, &mut tls.key].into_iter().chain(&mut tls.client_ca)
            })
        });
        let of_web = self.web.iter_mut().flat_map(|web| match &mut web.tls {
            WebTls::Files(tls) => vec![&mut tls.certificate, &mut tls.key],
            WebTls::Device | WebTls::Off => Vec::new(),
        });
        for path in certificates.chain(of_listeners).chain(of_web) {
            *path = named(path);
        }
        if let Some(path) = &mut self.store.path {
            *path = directory.join(&*path);
        }
    }

    /// What the store must know of every tag, in the order of [`Plan::tags`].
    pub fn metas(&self) -> Vec<TagMeta> {
        self.tags().map(|(_, device, tag)| tag.meta(device)).collect()
    }

    /// The parts that were added, removed or changed from `self` to `new`.
    pub fn diff(&self, new: &Self) -> Changes {
        Changes {
            gateway: self.gateway != new.gateway,
            buses: differing(&self.buses, &new.buses, |bus| &bus.name),
            uplinks: differing(&self.uplinks, &new.uplinks, |uplink| &uplink.name),
            broker: self.broker != new.broker,
            store: self.store != new.store,
            web: self.web != new.web,
        }
    }
}

fn differing<T: PartialEq>(old: &[T], new: &[T], name: impl Fn(&T) -> &Name) -> Vec<Name> {
    let gone_or_changed = old.iter().filter(|o| !new.contains(o)).map(&name);
    let added = new.iter().filter(|n| !old.iter().any(|o| name(o) == name(n))).map(&name);
    gone_or_changed.chain(added).cloned().collect()
}
