//! What holds when a key is not written, and how far each value may go.
//! `configs/reference.yaml` shows the same; a test compares the two.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::broker::{BrokerLimits, QueueDrops};
use crate::model::Qos;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const DAY: Duration = Duration::from_secs(86_400);

type Durations = RangeInclusive<Duration>;
type Sizes = RangeInclusive<u64>;

/// Serial lines have a thread each and TCP endpoints a connection each.
pub(super) const BUSES_MAX: usize = 256;
pub(super) const DEVICES_MAX: usize = 4_096;
pub(super) const TAGS_MAX: usize = 100_000;
pub(super) const UPLINKS_MAX: usize = 16;
pub(super) const LISTENERS_MAX: usize = 16;
/// Filters of one uplink.
pub(super) const FILTERS_MAX: usize = 256;
pub(super) const LABELS_MAX: usize = 1_000;
pub(super) const NOT_AVAILABLE_MAX: usize = 16;

pub(super) const TOPIC_TAG: &str = "{site}/{gateway}/{device}/{tag}";
pub(super) const TOPIC_BACKLOG: &str = "{site}/{gateway}/backlog";
/// Where live messages go that may hold several readings of a device.
pub(super) const TOPIC_DEVICE: &str = "{site}/{gateway}/{device}";
/// What ThingsBoard gives gateways.
pub(super) const TOPIC_THINGSBOARD: &str = "v1/gateway/telemetry";
/// The levels of ISA-95, for `topic: isa-95`; those without a value vanish.
pub(super) const TOPIC_ISA_95: &str = "{enterprise}/{site}/{area}/{line}/{cell}/{device}/{tag}";
/// Longest payload template.
pub(super) const TEMPLATE_BYTES_MAX: usize = 4_096;
/// Home Assistant's own default for the topics by which it finds devices.
pub(super) const HOME_ASSISTANT: &str = "homeassistant";
pub(super) const TOPIC_STATUS: &str = "{site}/{gateway}/status";
pub(super) const TOPIC_NOTICES: &str = "{site}/{gateway}/notice";

/// Where an uplink takes new configurations, and where for a group of gateways.
pub(super) const TOPIC_REMOTE: &str = "{site}/{gateway}/config";
pub(super) const TOPIC_GROUP: &str = "groups/{group}/config";
pub(super) const REMOTE_KEYS_MAX: usize = 16;
pub(super) const REMOTE_GROUPS_MAX: usize = 16;
/// How long a new configuration has to prove itself.
pub(super) const CONFIRM: Duration = Duration::from_secs(120);
pub(super) const CONFIRM_RANGE: Durations = Duration::from_secs(5)..=Duration::from_secs(3_600);

pub(super) const MODBUS_TCP_PORT: u16 = 502;
/// Modbus/TCP Security V36, 5.1.
pub(super) const MODBUS_TLS_PORT: u16 = 802;
/// Connections that buses share.
pub(super) const CONNECTIONS_RANGE: RangeInclusive<i128> = 1..=64;
/// Reads in flight together.
pub(super) const PIPELINE: usize = 1;
pub(super) const PIPELINE_RANGE: RangeInclusive<i128> = 1..=16;
/// Networks whose converters may connect.
pub(super) const ALLOW_MAX: usize = 64;
pub(super) const BAUD_RANGE: RangeInclusive<i128> = 300..=4_000_000;
pub(super) const PAUSE_RANGE: Durations = Duration::ZERO..=Duration::from_secs(10);

/// Of one bus: some hundred short exchanges.
pub(super) const TRACE_BYTES: usize = 64 * 1024;
pub(super) const TRACE_RANGE: Sizes = 0..=64 * MIB;
/// More is not taken by the kernel's RS-485 mode, nor needed by a transmitter.
pub(super) const RTS_RANGE: Durations = Duration::ZERO..=Duration::from_millis(100);

/// Of a bus's server face.
pub(super) const SHARE_ALLOW: [&str; 2] = ["127.0.0.0/8", "::1"];
pub(super) const SHARE_CONNECTIONS: usize = 8;
pub(super) const SHARE_CONNECTIONS_RANGE: RangeInclusive<i128> = 1..=64;
pub(super) const STALE_RANGE: Durations = Duration::from_millis(100)..=DAY;
pub(super) const NETWORKS_MAX: usize = 64;
pub(super) const WRITABLE_MAX: usize = 256;

pub(super) const UNIT_TCP: u8 = 1;
pub(super) const EVERY: Duration = Duration::from_secs(1);
pub(super) const EVERY_RANGE: Durations = Duration::from_millis(10)..=DAY;
pub(super) const TIMEOUT: Duration = Duration::from_secs(1);
pub(super) const TIMEOUT_RANGE: Durations = Duration::from_millis(10)..=Duration::from_secs(60);
/// Modbus Application Protocol V1.1b3, 6.3 and 6.1.
pub(super) const REGISTERS_MAX: u16 = 125;
pub(super) const BITS_MAX: u16 = 2_000;

pub(super) const SENSOR_BAUD: u32 = 9_600;
pub(super) const FRAME_MAX: usize = 1_024;
pub(super) const FRAME_MAX_RANGE: RangeInclusive<i128> = 1..=65_536;
pub(super) const IDLE_RANGE: Durations = Duration::from_millis(2)..=Duration::from_secs(10);
pub(super) const SENSOR_EVERY: Duration = Duration::from_secs(1);
pub(super) const SENSOR_EVERY_RANGE: Durations = Duration::from_millis(20)..=DAY;
pub(super) const SENSOR_TIMEOUT: Duration = Duration::from_secs(1);
pub(super) const SENSOR_TIMEOUT_RANGE: Durations =
    Duration::from_millis(10)..=Duration::from_secs(300);
pub(super) const WAKE_PAUSE: Duration = Duration::from_millis(100);
pub(super) const WAKE_PAUSE_RANGE: Durations = Duration::ZERO..=Duration::from_secs(10);
/// A sensor that sends by itself is silent after this.
pub(super) const SILENT_AFTER: Duration = Duration::from_secs(10);
pub(super) const SILENT_AFTER_RANGE: Durations = Duration::from_millis(100)..=DAY;
/// A value that was polled for so often without success is too old.
pub(super) const SILENT_POLLS: u32 = 3;
pub(super) const FORMS_MAX: usize = 64;
/// Fields of one kind of frame.
pub(super) const FIELDS_MAX: usize = 256;

pub(super) const AT_LEAST: Duration = Duration::from_secs(60);
pub(super) const AT_LEAST_RANGE: Durations = Duration::from_millis(10)..=DAY;
pub(super) const AT_MOST_EVERY_RANGE: Durations = Duration::ZERO..=DAY;

/// How long a command is valid that does not say so itself.
pub(super) const WRITE_EXPIRES: Duration = Duration::from_secs(10);
pub(super) const WRITE_EXPIRES_RANGE: Durations = Duration::from_millis(100)..=DAY;
pub(super) const SAFE_AFTER_RANGE: Durations = Duration::from_millis(100)..=DAY;
pub(super) const ALLOWED_MAX: usize = 1_000;
/// What one request can write: functions 16, 15 and 23 (Modbus Application Protocol V1.1b3, 6.12,
/// 6.11 and 6.17).
pub const WRITE_REGISTERS_MAX: u16 = 123;
pub const WRITE_BITS_MAX: u16 = 1_968;
pub const WRITE_AND_READ_MAX: u16 = 121;
/// The turnaround after a broadcast (Modbus over Serial Line V1.02, 2.4.1: 100 to 200 ms).
pub(super) const TURNAROUND: Duration = Duration::from_millis(100);

pub(super) const LISTENER: &str = "127.0.0.1:1883";
/// Clients of the broker, and of one of its listeners.
pub(super) const CLIENTS_RANGE: RangeInclusive<i128> = 1..=100_000;
pub(super) const USERS_MAX: usize = 10_000;
pub(super) const ROLES_MAX: usize = 1_000;
/// Longest name of a user, in bytes.
pub(super) const USER_BYTES_MAX: usize = 256;
/// Filters of one list of a user or a role.
pub(super) const ACCESS_FILTERS_MAX: usize = 256;
/// Longest path of a Unix socket, without the zero at its end (unix(7)).
pub(super) const SOCKET_PATH_BYTES_MAX: usize = 107;
pub(super) const LIMITS: BrokerLimits = BrokerLimits {
    connections: 10_000,
    half_open: 1_000,
    accepts_per_second: 1_000,
    packets_per_second: 1_000_000,
    packet_bytes: 256 * 1024,
    inflight: 100,
    queue_messages: 10_000,
    queue_bytes: 16 * 1024 * 1024,
    queue_drops: QueueDrops::Oldest,
    all_queues_bytes: 256 * 1024 * 1024,
    retained_messages: 100_000,
    retained_bytes: 256 * 1024 * 1024,
    subscriptions_per_client: 1_000,
    topic_bytes: 1_024,
    topic_levels: 32,
    connect_timeout: Duration::from_secs(10),
    keep_alive_max: u16::MAX,
    outgoing_bytes: 1024 * 1024,
};
/// The largest packet that MQTT can say the length of (MQTT 5.0, 1.5.5).
pub(super) const PACKET_RANGE: Sizes = KIB..=268_435_455;
pub(super) const BUFFER_RANGE: Sizes = KIB..=64 * GIB;
pub(super) const ACCEPTS_RANGE: RangeInclusive<i128> = 1..=1_000_000;
pub(super) const PACKETS_RANGE: RangeInclusive<i128> = 1..=10_000_000;
pub(super) const CONNECT_TIMEOUT_RANGE: Durations =
    Duration::from_secs(1)..=Duration::from_secs(300);

pub(super) const MQTT_PORT: u16 = 1883;
pub(super) const MQTTS_PORT: u16 = 8883;
pub(super) const WS_PORT: u16 = 80;
pub(super) const WSS_PORT: u16 = 443;
/// Where brokers take WebSocket connections.
pub(super) const WEBSOCKET_PATH: &str = "/mqtt";
/// Brokers of one uplink, in their order.
pub(super) const BROKERS_MAX: usize = 8;
pub(super) const PROXY_PORT: u16 = 3128;
/// Protocols offered in a TLS handshake, and the length of a name (RFC 7301).
pub(super) const ALPN_MAX: usize = 8;
pub(super) const ALPN_BYTES_MAX: usize = 255;
pub(super) const SAS_LIFETIME: Duration = Duration::from_secs(3_600);
pub(super) const SAS_LIFETIME_RANGE: Durations =
    Duration::from_secs(300)..=Duration::from_secs(365 * 86_400);
pub(super) const KEEP_ALIVE: Duration = Duration::from_secs(30);
pub(super) const KEEP_ALIVE_RANGE: Durations = Duration::from_secs(5)..=Duration::from_secs(65_535);
pub(super) const SEND: &str = "#";
/// What every cloud service takes; some end the connection at a subscription with 2.
pub(super) const RECEIVE_QOS: Qos = Qos::AtLeastOnce;
pub(super) const WINDOW_MESSAGES: u16 = 100;
/// Twice the window must stay below the 65,535 packet ids with room to spare.
pub(super) const WINDOW_MESSAGES_RANGE: RangeInclusive<i128> = 1..=10_000;
pub(super) const WINDOW_BYTES: usize = 1024 * 1024;
pub(super) const WINDOW_BYTES_RANGE: Sizes = KIB..=GIB;
/// What AWS IoT Core takes, the narrowest of the services in wide use.
pub(super) const UPLINK_PACKET_BYTES: usize = 128 * 1024;

/// The longest wait between two attempts to connect, jittered.
pub const DEFAULT_RECONNECT_MAX: Duration = Duration::from_secs(60);
pub(super) const RECONNECT_MAX_RANGE: Durations =
    Duration::from_secs(1)..=Duration::from_secs(3_600);
/// Messages and bytes in a second.
pub(super) const RATE_MESSAGES_RANGE: RangeInclusive<i128> = 1..=100_000;
pub(super) const RATE_BYTES_RANGE: Sizes = KIB..=GIB;

pub(super) const STORE_PATH: &str = "/var/lib/fieldhold";
pub(super) const COMMIT_RANGE: Durations = Duration::from_millis(10)..=Duration::from_secs(60);
/// The word for a quota that follows from the file system: the default.
pub(super) const MAX_BYTES_AUTO: &str = "auto";
pub(super) const MAX_BYTES_RANGE: Sizes = 16 * MIB..=64 * 1024 * GIB;
pub(super) const MAX_AGE: Duration = Duration::from_secs(30 * 86_400);
pub(super) const MAX_AGE_RANGE: Durations =
    Duration::from_secs(60)..=Duration::from_secs(3_650 * 86_400);
pub(super) const RAM_BYTES: usize = 8 * 1024 * 1024;
pub(super) const RAM_RANGE: Sizes = MIB..=4 * GIB;
/// What a 32 GB consumer card was measured to take before it wears out.
pub(super) const ENDURANCE_BYTES: u64 = 4_000_000_000_000;
pub(super) const ENDURANCE_RANGE: Sizes = 1_000_000_000..=1_000_000_000_000_000_000;

pub(super) const WEB_LISTEN: &str = "0.0.0.0:8443";
/// A tab has one for its live values and a few for what it asks.
pub(super) const WEB_CONNECTIONS: usize = 256;
pub(super) const WEB_CONNECTIONS_RANGE: RangeInclusive<i128> = 8..=10_000;
/// Further names of the page.
pub(super) const WEB_HOSTS_MAX: usize = 64;
/// Longest name of a host (RFC 1035, 2.3.4).
pub(super) const HOST_BYTES_MAX: usize = 253;
