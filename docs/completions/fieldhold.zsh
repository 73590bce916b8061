#compdef fieldhold

autoload -U is-at-least

_fieldhold() {
    typeset -A opt_args
    typeset -a _arguments_options
    local ret=1

    if is-at-least 5.2; then
        _arguments_options=(-s -S -C)
    else
        _arguments_options=(-s -C)
    fi

    local context curcontext="$curcontext" state line
    _arguments "${_arguments_options[@]}" : \
'-h[Print help]' \
'--help[Print help]' \
'-V[Print version]' \
'--version[Print version]' \
":: :_fieldhold_commands" \
"*::: :->fieldhold" \
&& ret=0
    case $state in
    (fieldhold)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:fieldhold-command-$line[1]:"
        case $line[1] in
            (run)
_arguments "${_arguments_options[@]}" : \
'*--import-from=[Where a configuration is looked for when there is none yet\: a mounted stick, a boot partition; it is taken once, and copied to the file]:DIR:_files' \
'--log-format=[How log lines look]:LOG_FORMAT:(text json)' \
'-h[Print help]' \
'--help[Print help]' \
'::config -- The configuration file:_files' \
&& ret=0
;;
(check)
_arguments "${_arguments_options[@]}" : \
'-h[Print help]' \
'--help[Print help]' \
'::config -- The configuration file:_files' \
&& ret=0
;;
(config)
_arguments "${_arguments_options[@]}" : \
'-h[Print help]' \
'--help[Print help]' \
":: :_fieldhold__subcmd__config_commands" \
"*::: :->config" \
&& ret=0

    case $state in
    (config)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:fieldhold-config-command-$line[1]:"
        case $line[1] in
            (history)
_arguments "${_arguments_options[@]}" : \
'--config=[The configuration file]:FILE:_files' \
'--state-dir=[The state directory of the gateway, instead of looking it up in the configuration]:DIR:_files' \
'--json[Everything, as JSON]' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(show)
_arguments "${_arguments_options[@]}" : \
'--config=[The configuration file]:FILE:_files' \
'--state-dir=[The state directory of the gateway, instead of looking it up in the configuration]:DIR:_files' \
'-h[Print help]' \
'--help[Print help]' \
':version:_default' \
&& ret=0
;;
(diff)
_arguments "${_arguments_options[@]}" : \
'--config=[The configuration file]:FILE:_files' \
'--state-dir=[The state directory of the gateway, instead of looking it up in the configuration]:DIR:_files' \
'-h[Print help]' \
'--help[Print help]' \
'::a -- The older one; without it, the one before that which runs:_default' \
'::b -- The newer one; without it, the one that runs:_default' \
&& ret=0
;;
(rollback)
_arguments "${_arguments_options[@]}" : \
'--config=[The configuration file]:FILE:_files' \
'--state-dir=[The state directory of the gateway, instead of looking it up in the configuration]:DIR:_files' \
'-h[Print help]' \
'--help[Print help]' \
'::version -- The version to go back to; without it, away from the one that is pending, or to the one before:_default' \
&& ret=0
;;
(sign)
_arguments "${_arguments_options[@]}" : \
'--key=[The private key, as \`openssl genpkey -algorithm ed25519\` makes it]:FILE:_files' \
'--id=[What the gateways call the key; without it, the name of its file]:NAME:_default' \
'(--confirms)--serial=[The number of the message, larger than that of every message before to these gateways]:N:_default' \
'*--for=[A gateway\: its site/name, or its name if it has no site. May be repeated]:GATEWAY:_default' \
'*--group=[A group of gateways. May be repeated]:GROUP:_default' \
'(--confirms)--stage=[Only so many percent of them, chosen by their names; signed again with more, and the same serial, the others follow]:PERCENT:_default' \
'--salt=[What the choice starts from; without it, the serial]:SALT:_default' \
'(--confirms)--within=[How long it may take to be confirmed, as in 90s; without it, what the gateway'\''s says]:TIME:_default' \
'--expires=[How long the message counts, as in 1d; without it, for ever]:TIME:_default' \
'--confirms=[Instead of a configuration\: let the one stand that came with this serial]:SERIAL:_default' \
'(--confirms)--ask-operator[Let it stand only when it is confirmed by a message, not when the gateway is reachable again]' \
'(--confirms)--unchecked[Sign it even with mistakes\: profiles may be there that are not here]' \
'-h[Print help]' \
'--help[Print help]' \
'::file -- The configuration:_files' \
&& ret=0
;;
(help)
_arguments "${_arguments_options[@]}" : \
":: :_fieldhold__subcmd__config__subcmd__help_commands" \
"*::: :->help" \
&& ret=0

    case $state in
    (help)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:fieldhold-config-help-command-$line[1]:"
        case $line[1] in
            (history)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(show)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(diff)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(rollback)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(sign)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(help)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
        esac
    ;;
esac
;;
        esac
    ;;
esac
;;
(status)
_arguments "${_arguments_options[@]}" : \
'--state-dir=[The state directory of the gateway, instead of looking it up in the configuration]:DIR:_files' \
'(--json)--as-well-as=[Succeed only if everything that was well in FILE still is\: an earlier answer of --json, or - for standard input]:FILE:_files' \
'--json[Everything, as JSON]' \
'-h[Print help]' \
'--help[Print help]' \
'::config -- The configuration file:_files' \
&& ret=0
;;
(audit)
_arguments "${_arguments_options[@]}" : \
'--state-dir=[The state directory of the gateway, instead of looking it up in the configuration]:DIR:_files' \
'--last=[How many records, the newest last]:N:_default' \
'--json[Everything, as JSON]' \
'-h[Print help]' \
'--help[Print help]' \
'::config -- The configuration file:_files' \
&& ret=0
;;
(trace)
_arguments "${_arguments_options[@]}" : \
'--state-dir=[The state directory of the gateway, instead of looking it up in the configuration]:DIR:_files' \
'--last=[Only the last N exchanges \[default\: 20 to show, all to export\]]:N:_default' \
'--export=[Write to a file instead\: FILE.txt as shown, FILE.pcap for Wireshark and tshark]:FILE:_files' \
'(--export)--follow[Go on with what happens from now on, until interrupted]' \
'-h[Print help]' \
'--help[Print help]' \
':bus -- The bus, by its name in the configuration:_default' \
'::config -- The configuration file:_files' \
&& ret=0
;;
(probe)
_arguments "${_arguments_options[@]}" : \
'--tcp=[A Modbus TCP device or converter, as HOST or HOST\:PORT]:HOST:_default' \
'--udp=[A Modbus UDP device, as HOST or HOST\:PORT]:HOST:_default' \
'--rtu=[A serial port with Modbus RTU devices]:PORT:_files' \
'--ascii=[A serial port with Modbus ASCII devices]:PORT:_files' \
'(--rtu --ascii)--framing=[What the frames look like\: rtu or ascii for a converter that passes them on as they are]:FRAMING:(tcp rtu ascii)' \
'--ca=[PEM file of the authorities to trust, instead of the system'\''s]:FILE:_files' \
'--certificate=[PEM file of our own certificate]:FILE:_files' \
'--key=[PEM file of its key]:FILE:_files' \
'--server-name=[The name in the device'\''s certificate, if it is not the host'\''s]:NAME:_default' \
'(--tcp --udp)--baud=[Baud rate of the serial line]:BAUD:_default' \
'(--tcp --udp --rtu)--data-bits=[Data bits; 8 with --rtu and 7 with --ascii, unless given]:DATA_BITS:_default' \
'(--tcp --udp)--parity=[Parity of the serial line]:PARITY:(none even odd)' \
'(--tcp --udp)--stop-bits=[Stop bits; 1 with a parity bit and 2 without, unless given]:STOP_BITS:_default' \
'--unit=[Unit (slave) id of the device]:UNIT:_default' \
'--timeout-ms=[How long to wait for the answer, in milliseconds]:TIMEOUT_MS:_default' \
'--at-once=[Most registers or bits in one request, for devices that take fewer than the protocol allows]:AT_ONCE:_default' \
'--find=[Look for the number that the device'\''s own display shows, in every type, order and scale]:VALUE:_default' \
'--tolerance=[How far a value may be from it; half of its last digit or 0.2 % unless given]:TOLERANCE:_default' \
'(--udp --rtu --ascii)--tls[With TLS (Modbus/TCP Security); the port is 802 then, unless given]' \
'--wide[Show 64-bit values as well]' \
'(--find)--watch[Read again every second and mark what changes]' \
'(--find --watch)--identify[Ask the device who it is (function 43/14)]' \
'-h[Print help]' \
'--help[Print help]' \
'::table -- Where to read:(coil discrete holding input)' \
'::address -- Zero-based address, decimal or 0x...:_default' \
'::count -- How many registers or bits:_default' \
&& ret=0
;;
(scan)
_arguments "${_arguments_options[@]}" : \
'--rtu=[The serial port of a line with Modbus RTU devices; no gateway may be using it]:RTU:_files' \
'*--tcp=[A Modbus TCP device or converter, as HOST or HOST\:PORT; can be given several times]:HOST:_default' \
'(--rtu)--framing=[What the frames look like behind --tcp\: rtu or ascii for a converter that passes them on]:FRAMING:(tcp rtu ascii)' \
'--units=[Units to try, as in 1-10,17 \[default\: 1-247, and on TCP 0 and 255 as well\]]:UNITS:_default' \
'(--tcp)*--baud=[Baud rates to try, as in 9600,19200 \[default\: the usual ones\]]:BAUD:_default' \
'(--tcp)*--parity=[Parities to try \[default\: none,even,odd\]]:PARITY:(none even odd)' \
'(--tcp)*--stop-bits=[Stop bits to try; most devices understand 1 whatever they have \[default\: 1\]]:STOP_BITS:_default' \
'--timeout-ms=[Longest wait for an answer, in milliseconds; answers shorten it \[default\: 300, on TCP 1500\]]:TIMEOUT_MS:_default' \
'--table=[What is read of each unit]:TABLE:(coil discrete holding input)' \
'--address=[Its zero-based address; a device that does not have it is found all the same]:ADDRESS:_default' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(profile)
_arguments "${_arguments_options[@]}" : \
'-h[Print help]' \
'--help[Print help]' \
":: :_fieldhold__subcmd__profile_commands" \
"*::: :->profile" \
&& ret=0

    case $state in
    (profile)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:fieldhold-profile-command-$line[1]:"
        case $line[1] in
            (list)
_arguments "${_arguments_options[@]}" : \
'--profiles=[The directory with your own profiles]:DIR:_files' \
'--times[Compare the line time of one pass over all tags with simpler ways to read them]' \
'-h[Print help]' \
'--help[Print help]' \
'*::words -- Words of the name, title, vendor, models or kind:_default' \
&& ret=0
;;
(show)
_arguments "${_arguments_options[@]}" : \
'--profiles=[The directory with your own profiles]:DIR:_files' \
'-h[Print help]' \
'--help[Print help]' \
':name:_default' \
&& ret=0
;;
(check)
_arguments "${_arguments_options[@]}" : \
'-h[Print help]' \
'--help[Print help]' \
'*::files -- Files of profiles:_files' \
&& ret=0
;;
(import)
_arguments "${_arguments_options[@]}" : \
'-h[Print help]' \
'--help[Print help]' \
":: :_fieldhold__subcmd__profile__subcmd__import_commands" \
"*::: :->import" \
&& ret=0

    case $state in
    (import)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:fieldhold-profile-import-command-$line[1]:"
        case $line[1] in
            (sunspec)
_arguments "${_arguments_options[@]}" : \
'--tcp=[The device to ask which models it has, as HOST or HOST\:PORT]:HOST:_default' \
'--unit=[Its unit]:UNIT:_default' \
'--timeout-ms=[How long to wait for an answer, in milliseconds]:TIMEOUT_MS:_default' \
'--chain=[The models it has, as ID@ADDRESS\:LENGTH, as in 1@40002\:66,103@40070\:50]:CHAIN:_default' \
'-o+[The profile'\''s file, NAME.yaml; it must not exist]:NAME.yaml:_files' \
'--output=[The profile'\''s file, NAME.yaml; it must not exist]:NAME.yaml:_files' \
'-h[Print help]' \
'--help[Print help]' \
'*::files -- model_*.json:_files' \
&& ret=0
;;
(csv)
_arguments "${_arguments_options[@]}" : \
'-o+[The profile'\''s file, NAME.yaml; it must not exist]:NAME.yaml:_files' \
'--output=[The profile'\''s file, NAME.yaml; it must not exist]:NAME.yaml:_files' \
'-h[Print help]' \
'--help[Print help]' \
':file -- The list:_files' \
&& ret=0
;;
(help)
_arguments "${_arguments_options[@]}" : \
":: :_fieldhold__subcmd__profile__subcmd__import__subcmd__help_commands" \
"*::: :->help" \
&& ret=0

    case $state in
    (help)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:fieldhold-profile-import-help-command-$line[1]:"
        case $line[1] in
            (sunspec)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(csv)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(help)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
        esac
    ;;
esac
;;
        esac
    ;;
esac
;;
(help)
_arguments "${_arguments_options[@]}" : \
":: :_fieldhold__subcmd__profile__subcmd__help_commands" \
"*::: :->help" \
&& ret=0

    case $state in
    (help)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:fieldhold-profile-help-command-$line[1]:"
        case $line[1] in
            (list)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(show)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(check)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(import)
_arguments "${_arguments_options[@]}" : \
":: :_fieldhold__subcmd__profile__subcmd__help__subcmd__import_commands" \
"*::: :->import" \
&& ret=0

    case $state in
    (import)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:fieldhold-profile-help-import-command-$line[1]:"
        case $line[1] in
            (sunspec)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(csv)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
        esac
    ;;
esac
;;
(help)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
        esac
    ;;
esac
;;
        esac
    ;;
esac
;;
(frame)
_arguments "${_arguments_options[@]}" : \
'(--config)--preset=[A known format; --list shows them, and with a preset its fields]:PRESET:_default' \
'--config=[A configuration file with a serial bus]:CONFIG:_files' \
'--bus=[The bus of the configuration file]:BUS:_default' \
'(--hex --text)--port=[Capture from this serial port; with --config from the bus'\''s own\: --live]:PORT:_files' \
'--baud=[Baud rate of the port, if not the preset'\''s]:BAUD:_default' \
'--character=[Characters of the port as in 8N1 or 7E1, if not the preset'\''s]:CHARACTER:_default' \
'--seconds=[How many seconds to capture]:SECONDS:_default' \
'(--text)--hex=[Bytes as hexadecimal digits, blanks between them at will]:HEX:_default' \
'--text=[Bytes as text; \\r, \\n, \\t, \\\\ and \\xNN stand for themselves]:TEXT:_default' \
'--list[List the presets, or the fields of one]' \
'(--port --hex --text)--live[Capture from the wire of the configured bus]' \
'--file-hex[The file holds hexadecimal digits]' \
'-h[Print help]' \
'--help[Print help]' \
'::file -- A file with the bytes; - for standard input, which is also the default:_files' \
&& ret=0
;;
(simulate)
_arguments "${_arguments_options[@]}" : \
'--profile=[Play a device of this profile instead, on TCP or, with --pty, on a serial line]:NAME:_default' \
'--unit=[The device'\''s unit; the factory'\''s, or 1, unless given]:UNIT:_default' \
'*--listen=[Where a bus on TCP listens, as \[BUS=\]ADDRESS\:PORT; free loopback ports unless given]:[BUS=]ADDR:PORT:_default' \
'*--pty=[Where a serial bus is linked, as \[BUS=\]PATH; in the temporary directory unless given]:[BUS=]PATH:_default' \
'--seed=[Other values, and other moments for the faults of chance]:SEED:_default' \
'*--set=[Gives a tag a value that stays until it is written]:DEVICE.TAG=VALUE:_default' \
'*--fault=[Makes answers go wrong\: NAME\[=VALUE\]\[\:every=N\]\[\:share=N%\]\[\:unit=N\]\[\:from=TIME\]\[\:to=TIME\]\[\:bus=NAME\]; \`--fault help\` lists the names]:FAULT:_default' \
'--faults=[A file of such faults, one a line, # for comments]:FILE:_files' \
'--fixed[Values don'\''t move]' \
'-h[Print help]' \
'--help[Print help]' \
'::config -- The configuration whose devices are played:_files' \
&& ret=0
;;
(demo)
_arguments "${_arguments_options[@]}" : \
'--state-dir=[Keep the store here instead of in a temporary directory]:STATE_DIR:_files' \
'--lan=[Where the LAN broker listens; port 0 takes a free one]:LAN:_default' \
'--web=[Where the web page is; a free port is taken if this one is in use]:WEB:_default' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(rehearse)
_arguments "${_arguments_options[@]}" : \
'--outage=[How long the uplinks are away\: 10s to 366d]:TIME:_default' \
'--rtt=[From a message to its acknowledgement, up to 1min; \`fieldhold uplink test\` measures it]:TIME:_default' \
'--dir=[Where temporary files are made, up to 290 MB; the system'\''s directory for them unless given]:DIRECTORY:_files' \
'--seed=[Other values of the simulated devices]:SEED:_default' \
'--json[Everything, as JSON]' \
'-h[Print help]' \
'--help[Print help]' \
'::config -- The configuration file:_files' \
&& ret=0
;;
(uplink)
_arguments "${_arguments_options[@]}" : \
'-h[Print help]' \
'--help[Print help]' \
":: :_fieldhold__subcmd__uplink_commands" \
"*::: :->uplink" \
&& ret=0

    case $state in
    (uplink)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:fieldhold-uplink-command-$line[1]:"
        case $line[1] in
            (test)
_arguments "${_arguments_options[@]}" : \
'--json[One JSON object per step and line]' \
'-h[Print help]' \
'--help[Print help]' \
':name -- The uplink, by its name in the configuration:_default' \
'::config -- The configuration file:_files' \
&& ret=0
;;
(status)
_arguments "${_arguments_options[@]}" : \
'--state-dir=[The state directory of the gateway, instead of looking it up in the configuration]:DIR:_files' \
'--json[As JSON, by name]' \
'-h[Print help]' \
'--help[Print help]' \
'::name -- Only this uplink:_default' \
'::config -- The configuration file:_files' \
&& ret=0
;;
(presets)
_arguments "${_arguments_options[@]}" : \
'-h[Print help]' \
'--help[Print help]' \
'::name:_default' \
&& ret=0
;;
(help)
_arguments "${_arguments_options[@]}" : \
":: :_fieldhold__subcmd__uplink__subcmd__help_commands" \
"*::: :->help" \
&& ret=0

    case $state in
    (help)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:fieldhold-uplink-help-command-$line[1]:"
        case $line[1] in
            (test)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(status)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(presets)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(help)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
        esac
    ;;
esac
;;
        esac
    ;;
esac
;;
(broker)
_arguments "${_arguments_options[@]}" : \
'-h[Print help]' \
'--help[Print help]' \
":: :_fieldhold__subcmd__broker_commands" \
"*::: :->broker" \
&& ret=0

    case $state in
    (broker)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:fieldhold-broker-command-$line[1]:"
        case $line[1] in
            (clients)
_arguments "${_arguments_options[@]}" : \
'--state-dir=[The state directory of the gateway, instead of looking it up in the configuration]:DIR:_files' \
'--json[One JSON object per line]' \
'-h[Print help]' \
'--help[Print help]' \
'::config -- The configuration file:_files' \
&& ret=0
;;
(kick)
_arguments "${_arguments_options[@]}" : \
'--state-dir=[The state directory of the gateway, instead of looking it up in the configuration]:DIR:_files' \
'--session[End its session, too\: its subscriptions and what waits for it are gone]' \
'-h[Print help]' \
'--help[Print help]' \
':client -- The client'\''s id, as `fieldhold broker clients` shows it:_default' \
'::config -- The configuration file:_files' \
&& ret=0
;;
(topics)
_arguments "${_arguments_options[@]}" : \
'--state-dir=[The state directory of the gateway, instead of looking it up in the configuration]:DIR:_files' \
'--json[One JSON object per line; subscriptions have a \`filter\`, topics a \`topic\`]' \
'-h[Print help]' \
'--help[Print help]' \
'::filter -- Only topics that match this MQTT filter, as '\''plant1/+/press/#'\'' \[default\: all\]:_default' \
'::config -- The configuration file:_files' \
&& ret=0
;;
(retained)
_arguments "${_arguments_options[@]}" : \
'--state-dir=[The state directory of the gateway, instead of looking it up in the configuration]:DIR:_files' \
'--remove[Remove those that match the filter; subscribers are sent an empty message]' \
'--json[One JSON object per line]' \
'-h[Print help]' \
'--help[Print help]' \
'::filter -- Only topics that match this MQTT filter, as '\''plant1/+/press/#'\'' \[default\: all\]:_default' \
'::config -- The configuration file:_files' \
&& ret=0
;;
(password)
_arguments "${_arguments_options[@]}" : \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(help)
_arguments "${_arguments_options[@]}" : \
":: :_fieldhold__subcmd__broker__subcmd__help_commands" \
"*::: :->help" \
&& ret=0

    case $state in
    (help)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:fieldhold-broker-help-command-$line[1]:"
        case $line[1] in
            (clients)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(kick)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(topics)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(retained)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(password)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(help)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
        esac
    ;;
esac
;;
        esac
    ;;
esac
;;
(store)
_arguments "${_arguments_options[@]}" : \
'-h[Print help]' \
'--help[Print help]' \
":: :_fieldhold__subcmd__store_commands" \
"*::: :->store" \
&& ret=0

    case $state in
    (store)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:fieldhold-store-command-$line[1]:"
        case $line[1] in
            (status)
_arguments "${_arguments_options[@]}" : \
'--state-dir=[The state directory of the gateway, instead of looking it up in the configuration]:DIR:_files' \
'(--state-dir)--file=[A copy of a store'\''s file\: queue.db, with its queue.db-wal beside it if there was one]:FILE:_files' \
'--json[Everything, as JSON]' \
'-h[Print help]' \
'--help[Print help]' \
'::config -- The configuration file:_files' \
&& ret=0
;;
(export)
_arguments "${_arguments_options[@]}" : \
'--state-dir=[The state directory of the gateway, instead of looking it up in the configuration]:DIR:_files' \
'(--state-dir)--file=[A copy of a store'\''s file\: queue.db, with its queue.db-wal beside it if there was one]:FILE:_files' \
'--from=[From this time on, UTC\: 2026-11-23, 2026-11-23T14\:31 or 2026-11-23T14\:31\:00.500Z]:TIME:_default' \
'--to=[Before this time]:TIME:_default' \
'*--tag=[Only topics that match this MQTT filter, as plant1/+/press/#; may be given several times]:FILTER:_default' \
'*--class=[Only this class; may be given several times]:CLASS:_default' \
'--consumer=[Only what waits for this uplink]:NAME:_default' \
'--format=[]:FORMAT:((csv\:"For spreadsheets\: a heading, one line each"
ndjson\:"For programs\: one JSON object per line, with messages'\'' QoS and times in milliseconds"))' \
'-o+[Write to this file, which must not exist yet, instead of standard output]:FILE:_files' \
'--output=[Write to this file, which must not exist yet, instead of standard output]:FILE:_files' \
'-h[Print help (see more with '\''--help'\'')]' \
'--help[Print help (see more with '\''--help'\'')]' \
'::config -- The configuration file:_files' \
&& ret=0
;;
(tail)
_arguments "${_arguments_options[@]}" : \
'--state-dir=[The state directory of the gateway, instead of looking it up in the configuration]:DIR:_files' \
'(--state-dir)--file=[A copy of a store'\''s file\: queue.db, with its queue.db-wal beside it if there was one]:FILE:_files' \
'--from=[From this time on, UTC\: 2026-11-23, 2026-11-23T14\:31 or 2026-11-23T14\:31\:00.500Z]:TIME:_default' \
'--to=[Before this time]:TIME:_default' \
'*--tag=[Only topics that match this MQTT filter, as plant1/+/press/#; may be given several times]:FILTER:_default' \
'*--class=[Only this class; may be given several times]:CLASS:_default' \
'-n+[How many to begin with, the newest last]:N:_default' \
'--last=[How many to begin with, the newest last]:N:_default' \
'(--file)-f[Go on with what comes, until interrupted]' \
'(--file)--follow[Go on with what comes, until interrupted]' \
'--json[One JSON object per line, as \`export --format ndjson\`]' \
'-h[Print help]' \
'--help[Print help]' \
'::config -- The configuration file:_files' \
&& ret=0
;;
(drops)
_arguments "${_arguments_options[@]}" : \
'--state-dir=[The state directory of the gateway, instead of looking it up in the configuration]:DIR:_files' \
'(--state-dir)--file=[A copy of a store'\''s file\: queue.db, with its queue.db-wal beside it if there was one]:FILE:_files' \
'-n+[How many rows, the newest last]:N:_default' \
'--last=[How many rows, the newest last]:N:_default' \
'(--csv)--json[As JSON]' \
'--csv[As CSV]' \
'-h[Print help]' \
'--help[Print help]' \
'::config -- The configuration file:_files' \
&& ret=0
;;
(verify)
_arguments "${_arguments_options[@]}" : \
'--state-dir=[The state directory of the gateway, instead of looking it up in the configuration]:DIR:_files' \
'(--state-dir)--file=[A copy of a store'\''s file\: queue.db, with its queue.db-wal beside it if there was one]:FILE:_files' \
'--json[Everything, as JSON]' \
'-h[Print help]' \
'--help[Print help]' \
'::config -- The configuration file:_files' \
&& ret=0
;;
(salvage)
_arguments "${_arguments_options[@]}" : \
'--into=[The state directory of a gateway that is not running; it delivers what comes back when it is started]:STATE_DIR:_files' \
'--json[The result, as JSON]' \
'-h[Print help]' \
'--help[Print help]' \
':file -- The damaged file\: queue.db, or one in quarantine; its -wal beside it if there is one:_files' \
&& ret=0
;;
(help)
_arguments "${_arguments_options[@]}" : \
":: :_fieldhold__subcmd__store__subcmd__help_commands" \
"*::: :->help" \
&& ret=0

    case $state in
    (help)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:fieldhold-store-help-command-$line[1]:"
        case $line[1] in
            (status)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(export)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(tail)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(drops)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(verify)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(salvage)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(help)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
        esac
    ;;
esac
;;
        esac
    ;;
esac
;;
(user)
_arguments "${_arguments_options[@]}" : \
'-h[Print help]' \
'--help[Print help]' \
":: :_fieldhold__subcmd__user_commands" \
"*::: :->user" \
&& ret=0

    case $state in
    (user)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:fieldhold-user-command-$line[1]:"
        case $line[1] in
            (list)
_arguments "${_arguments_options[@]}" : \
'--state-dir=[The state directory of the gateway, instead of looking it up in the configuration]:DIR:_files' \
'-h[Print help]' \
'--help[Print help]' \
'::config -- The configuration file:_files' \
&& ret=0
;;
(add)
_arguments "${_arguments_options[@]}" : \
'--role=[What it may do\: look, operate, or change everything]:ROLE:(viewer operator admin)' \
'--state-dir=[The state directory of the gateway, instead of looking it up in the configuration]:DIR:_files' \
'-h[Print help]' \
'--help[Print help]' \
':name:_default' \
'::config -- The configuration file:_files' \
&& ret=0
;;
(passwd)
_arguments "${_arguments_options[@]}" : \
'--state-dir=[The state directory of the gateway, instead of looking it up in the configuration]:DIR:_files' \
'-h[Print help]' \
'--help[Print help]' \
':name:_default' \
'::config -- The configuration file:_files' \
&& ret=0
;;
(remove)
_arguments "${_arguments_options[@]}" : \
'--state-dir=[The state directory of the gateway, instead of looking it up in the configuration]:DIR:_files' \
'-h[Print help]' \
'--help[Print help]' \
':name:_default' \
'::config -- The configuration file:_files' \
&& ret=0
;;
(help)
_arguments "${_arguments_options[@]}" : \
":: :_fieldhold__subcmd__user__subcmd__help_commands" \
"*::: :->help" \
&& ret=0

    case $state in
    (help)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:fieldhold-user-help-command-$line[1]:"
        case $line[1] in
            (list)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(add)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(passwd)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(remove)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(help)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
        esac
    ;;
esac
;;
        esac
    ;;
esac
;;
(backup)
_arguments "${_arguments_options[@]}" : \
'--passphrase-file=[A file with the passphrase; without it, it is asked for, or read from standard input]:FILE:_files' \
'--queue[With what waits in the store, and the LAN broker'\''s sessions and retained messages]' \
'-h[Print help]' \
'--help[Print help]' \
':file -- The file to make, as press.backup:_files' \
'::config -- The configuration file:_files' \
&& ret=0
;;
(restore)
_arguments "${_arguments_options[@]}" : \
'--passphrase-file=[A file with the passphrase; without it, it is asked for, or read from standard input]:FILE:_files' \
'--dry-run[Open and check all of it, show what would be done, and change nothing]' \
'-h[Print help]' \
'--help[Print help]' \
':file -- The backup:_files' \
'::config -- The configuration file:_files' \
&& ret=0
;;
(doctor)
_arguments "${_arguments_options[@]}" : \
'--json[Everything, as JSON]' \
'-h[Print help]' \
'--help[Print help]' \
'::config -- The configuration file:_files' \
&& ret=0
;;
(support)
_arguments "${_arguments_options[@]}" : \
'-h[Print help]' \
'--help[Print help]' \
':file -- The file to make, as press.tar.gz:_files' \
'::config -- The configuration file:_files' \
&& ret=0
;;
(setup)
_arguments "${_arguments_options[@]}" : \
'--name=[How the gateway is called in topics \[default\: the name of the machine\]]:NAME:_default' \
'--site=[The site it stands at, the first level of topics; '\'''\'' for none]:SITE:_default' \
'--page=[Where the web page listens, as 0.0.0.0\:8443, or off]:ADDRESS:_default' \
'--admin=[The first account of the page, or later\: then the page asks for its setup code]:NAME:_default' \
'--uplink=[The first MQTT broker that readings go to, as mqtts\://HOST\:8883, or later]:URL:_default' \
'--uplink-username=[Who the gateway is there]:USER:_default' \
'--uplink-password-file=[A file with the password there; it is copied beside the configuration]:FILE:_files' \
'-y[Ask nothing\: what is not said has its default]' \
'--yes[Ask nothing\: what is not said has its default]' \
'-h[Print help]' \
'--help[Print help]' \
'::config -- The configuration file:_files' \
&& ret=0
;;
(setup-code)
_arguments "${_arguments_options[@]}" : \
'--state-dir=[The state directory of the gateway, instead of looking it up in the configuration]:DIR:_files' \
'-h[Print help]' \
'--help[Print help]' \
'::config -- The configuration file:_files' \
&& ret=0
;;
(completions)
_arguments "${_arguments_options[@]}" : \
'-h[Print help]' \
'--help[Print help]' \
':shell -- For which shell:(bash zsh fish)' \
&& ret=0
;;
(help)
_arguments "${_arguments_options[@]}" : \
":: :_fieldhold__subcmd__help_commands" \
"*::: :->help" \
&& ret=0

    case $state in
    (help)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:fieldhold-help-command-$line[1]:"
        case $line[1] in
            (run)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(check)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(config)
_arguments "${_arguments_options[@]}" : \
":: :_fieldhold__subcmd__help__subcmd__config_commands" \
"*::: :->config" \
&& ret=0

    case $state in
    (config)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:fieldhold-help-config-command-$line[1]:"
        case $line[1] in
            (history)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(show)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(diff)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(rollback)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(sign)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
        esac
    ;;
esac
;;
(status)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(audit)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(trace)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(probe)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(scan)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(profile)
_arguments "${_arguments_options[@]}" : \
":: :_fieldhold__subcmd__help__subcmd__profile_commands" \
"*::: :->profile" \
&& ret=0

    case $state in
    (profile)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:fieldhold-help-profile-command-$line[1]:"
        case $line[1] in
            (list)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(show)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(check)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(import)
_arguments "${_arguments_options[@]}" : \
":: :_fieldhold__subcmd__help__subcmd__profile__subcmd__import_commands" \
"*::: :->import" \
&& ret=0

    case $state in
    (import)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:fieldhold-help-profile-import-command-$line[1]:"
        case $line[1] in
            (sunspec)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(csv)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
        esac
    ;;
esac
;;
        esac
    ;;
esac
;;
(frame)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(simulate)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(demo)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(rehearse)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(uplink)
_arguments "${_arguments_options[@]}" : \
":: :_fieldhold__subcmd__help__subcmd__uplink_commands" \
"*::: :->uplink" \
&& ret=0

    case $state in
    (uplink)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:fieldhold-help-uplink-command-$line[1]:"
        case $line[1] in
            (test)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(status)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(presets)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
        esac
    ;;
esac
;;
(broker)
_arguments "${_arguments_options[@]}" : \
":: :_fieldhold__subcmd__help__subcmd__broker_commands" \
"*::: :->broker" \
&& ret=0

    case $state in
    (broker)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:fieldhold-help-broker-command-$line[1]:"
        case $line[1] in
            (clients)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(kick)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(topics)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(retained)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(password)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
        esac
    ;;
esac
;;
(store)
_arguments "${_arguments_options[@]}" : \
":: :_fieldhold__subcmd__help__subcmd__store_commands" \
"*::: :->store" \
&& ret=0

    case $state in
    (store)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:fieldhold-help-store-command-$line[1]:"
        case $line[1] in
            (status)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(export)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(tail)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(drops)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(verify)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(salvage)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
        esac
    ;;
esac
;;
(user)
_arguments "${_arguments_options[@]}" : \
":: :_fieldhold__subcmd__help__subcmd__user_commands" \
"*::: :->user" \
&& ret=0

    case $state in
    (user)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:fieldhold-help-user-command-$line[1]:"
        case $line[1] in
            (list)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(add)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(passwd)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(remove)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
        esac
    ;;
esac
;;
(backup)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(restore)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(doctor)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(support)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(setup)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(setup-code)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(completions)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(help)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
        esac
    ;;
esac
;;
        esac
    ;;
esac
}

(( $+functions[_fieldhold_commands] )) ||
_fieldhold_commands() {
    local commands; commands=(
'run:Run the gateway' \
'check:Check a configuration\: every mistake at once, or the plan' \
'config:Versions of the configuration\: list, show, compare, go back; sign changes from afar' \
'status:Show what a running gateway is doing' \
'audit:Show who commanded what, and what became of it' \
'trace:Show the last exchanges of a bus, byte by byte' \
'probe:Show registers of a device in every interpretation, or find those that hold a value' \
'scan:Look for devices on a serial line or behind addresses on TCP' \
'profile:Device profiles\: list, show and check them' \
'frame:Show what the bytes of a serial sensor mean\: pasted, from a file, or live' \
'simulate:Play the devices of a configuration, with faults if wanted' \
'demo:A simulated plant, a LAN broker, a cloud\: watch an outage without any hardware' \
'rehearse:What an outage of the cloud would come to\: queue, drain, card wear, what would be dropped' \
'uplink:The way to a cloud broker\: try it, show it, and the services that are known' \
'broker:The LAN broker\: clients, topics, retained messages, passwords' \
'store:Look into the store' \
'user:Accounts of the web page\: list, add, new password, remove' \
'backup:Everything of a gateway in one file, sealed with a passphrase' \
'restore:Put a backup in its place; what was there is kept aside' \
'doctor:Look for all that a person might have to mend, with the next step' \
'support:One file for whoever helps from afar, without passwords and keys' \
'setup:Make a first configuration and the first account of the web page, from a terminal' \
'setup-code:Show the code for making the first account on the web page' \
'completions:Write what a shell needs to complete commands and options' \
'help:Print this message or the help of the given subcommand(s)' \
    )
    _describe -t commands 'fieldhold commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__audit_commands] )) ||
_fieldhold__subcmd__audit_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold audit commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__backup_commands] )) ||
_fieldhold__subcmd__backup_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold backup commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__broker_commands] )) ||
_fieldhold__subcmd__broker_commands() {
    local commands; commands=(
'clients:Who is connected or has a session, and how they fare' \
'kick:Disconnect a client; it may come back' \
'topics:Who subscribed to what, and what is published where' \
'retained:Retained messages\: list or remove them' \
'password:Make the line of a user'\''s password, from the terminal or standard input' \
'help:Print this message or the help of the given subcommand(s)' \
    )
    _describe -t commands 'fieldhold broker commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__broker__subcmd__clients_commands] )) ||
_fieldhold__subcmd__broker__subcmd__clients_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold broker clients commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__broker__subcmd__help_commands] )) ||
_fieldhold__subcmd__broker__subcmd__help_commands() {
    local commands; commands=(
'clients:Who is connected or has a session, and how they fare' \
'kick:Disconnect a client; it may come back' \
'topics:Who subscribed to what, and what is published where' \
'retained:Retained messages\: list or remove them' \
'password:Make the line of a user'\''s password, from the terminal or standard input' \
'help:Print this message or the help of the given subcommand(s)' \
    )
    _describe -t commands 'fieldhold broker help commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__broker__subcmd__help__subcmd__clients_commands] )) ||
_fieldhold__subcmd__broker__subcmd__help__subcmd__clients_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold broker help clients commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__broker__subcmd__help__subcmd__help_commands] )) ||
_fieldhold__subcmd__broker__subcmd__help__subcmd__help_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold broker help help commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__broker__subcmd__help__subcmd__kick_commands] )) ||
_fieldhold__subcmd__broker__subcmd__help__subcmd__kick_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold broker help kick commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__broker__subcmd__help__subcmd__password_commands] )) ||
_fieldhold__subcmd__broker__subcmd__help__subcmd__password_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold broker help password commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__broker__subcmd__help__subcmd__retained_commands] )) ||
_fieldhold__subcmd__broker__subcmd__help__subcmd__retained_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold broker help retained commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__broker__subcmd__help__subcmd__topics_commands] )) ||
_fieldhold__subcmd__broker__subcmd__help__subcmd__topics_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold broker help topics commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__broker__subcmd__kick_commands] )) ||
_fieldhold__subcmd__broker__subcmd__kick_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold broker kick commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__broker__subcmd__password_commands] )) ||
_fieldhold__subcmd__broker__subcmd__password_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold broker password commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__broker__subcmd__retained_commands] )) ||
_fieldhold__subcmd__broker__subcmd__retained_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold broker retained commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__broker__subcmd__topics_commands] )) ||
_fieldhold__subcmd__broker__subcmd__topics_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold broker topics commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__check_commands] )) ||
_fieldhold__subcmd__check_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold check commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__completions_commands] )) ||
_fieldhold__subcmd__completions_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold completions commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__config_commands] )) ||
_fieldhold__subcmd__config_commands() {
    local commands; commands=(
'history:The versions that are kept\: who made them, when, what they changed, what became of them' \
'show:Print the text of a version' \
'diff:What two versions say differently' \
'rollback:Back to a version, or to the one before' \
'sign:Make a signed message that changes the configuration of gateways, or confirms a change' \
'help:Print this message or the help of the given subcommand(s)' \
    )
    _describe -t commands 'fieldhold config commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__config__subcmd__diff_commands] )) ||
_fieldhold__subcmd__config__subcmd__diff_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold config diff commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__config__subcmd__help_commands] )) ||
_fieldhold__subcmd__config__subcmd__help_commands() {
    local commands; commands=(
'history:The versions that are kept\: who made them, when, what they changed, what became of them' \
'show:Print the text of a version' \
'diff:What two versions say differently' \
'rollback:Back to a version, or to the one before' \
'sign:Make a signed message that changes the configuration of gateways, or confirms a change' \
'help:Print this message or the help of the given subcommand(s)' \
    )
    _describe -t commands 'fieldhold config help commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__config__subcmd__help__subcmd__diff_commands] )) ||
_fieldhold__subcmd__config__subcmd__help__subcmd__diff_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold config help diff commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__config__subcmd__help__subcmd__help_commands] )) ||
_fieldhold__subcmd__config__subcmd__help__subcmd__help_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold config help help commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__config__subcmd__help__subcmd__history_commands] )) ||
_fieldhold__subcmd__config__subcmd__help__subcmd__history_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold config help history commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__config__subcmd__help__subcmd__rollback_commands] )) ||
_fieldhold__subcmd__config__subcmd__help__subcmd__rollback_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold config help rollback commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__config__subcmd__help__subcmd__show_commands] )) ||
_fieldhold__subcmd__config__subcmd__help__subcmd__show_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold config help show commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__config__subcmd__help__subcmd__sign_commands] )) ||
_fieldhold__subcmd__config__subcmd__help__subcmd__sign_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold config help sign commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__config__subcmd__history_commands] )) ||
_fieldhold__subcmd__config__subcmd__history_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold config history commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__config__subcmd__rollback_commands] )) ||
_fieldhold__subcmd__config__subcmd__rollback_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold config rollback commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__config__subcmd__show_commands] )) ||
_fieldhold__subcmd__config__subcmd__show_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold config show commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__config__subcmd__sign_commands] )) ||
_fieldhold__subcmd__config__subcmd__sign_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold config sign commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__demo_commands] )) ||
_fieldhold__subcmd__demo_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold demo commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__doctor_commands] )) ||
_fieldhold__subcmd__doctor_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold doctor commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__frame_commands] )) ||
_fieldhold__subcmd__frame_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold frame commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__help_commands] )) ||
_fieldhold__subcmd__help_commands() {
    local commands; commands=(
'run:Run the gateway' \
'check:Check a configuration\: every mistake at once, or the plan' \
'config:Versions of the configuration\: list, show, compare, go back; sign changes from afar' \
'status:Show what a running gateway is doing' \
'audit:Show who commanded what, and what became of it' \
'trace:Show the last exchanges of a bus, byte by byte' \
'probe:Show registers of a device in every interpretation, or find those that hold a value' \
'scan:Look for devices on a serial line or behind addresses on TCP' \
'profile:Device profiles\: list, show and check them' \
'frame:Show what the bytes of a serial sensor mean\: pasted, from a file, or live' \
'simulate:Play the devices of a configuration, with faults if wanted' \
'demo:A simulated plant, a LAN broker, a cloud\: watch an outage without any hardware' \
'rehearse:What an outage of the cloud would come to\: queue, drain, card wear, what would be dropped' \
'uplink:The way to a cloud broker\: try it, show it, and the services that are known' \
'broker:The LAN broker\: clients, topics, retained messages, passwords' \
'store:Look into the store' \
'user:Accounts of the web page\: list, add, new password, remove' \
'backup:Everything of a gateway in one file, sealed with a passphrase' \
'restore:Put a backup in its place; what was there is kept aside' \
'doctor:Look for all that a person might have to mend, with the next step' \
'support:One file for whoever helps from afar, without passwords and keys' \
'setup:Make a first configuration and the first account of the web page, from a terminal' \
'setup-code:Show the code for making the first account on the web page' \
'completions:Write what a shell needs to complete commands and options' \
'help:Print this message or the help of the given subcommand(s)' \
    )
    _describe -t commands 'fieldhold help commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__help__subcmd__audit_commands] )) ||
_fieldhold__subcmd__help__subcmd__audit_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold help audit commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__help__subcmd__backup_commands] )) ||
_fieldhold__subcmd__help__subcmd__backup_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold help backup commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__help__subcmd__broker_commands] )) ||
_fieldhold__subcmd__help__subcmd__broker_commands() {
    local commands; commands=(
'clients:Who is connected or has a session, and how they fare' \
'kick:Disconnect a client; it may come back' \
'topics:Who subscribed to what, and what is published where' \
'retained:Retained messages\: list or remove them' \
'password:Make the line of a user'\''s password, from the terminal or standard input' \
    )
    _describe -t commands 'fieldhold help broker commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__help__subcmd__broker__subcmd__clients_commands] )) ||
_fieldhold__subcmd__help__subcmd__broker__subcmd__clients_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold help broker clients commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__help__subcmd__broker__subcmd__kick_commands] )) ||
_fieldhold__subcmd__help__subcmd__broker__subcmd__kick_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold help broker kick commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__help__subcmd__broker__subcmd__password_commands] )) ||
_fieldhold__subcmd__help__subcmd__broker__subcmd__password_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold help broker password commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__help__subcmd__broker__subcmd__retained_commands] )) ||
_fieldhold__subcmd__help__subcmd__broker__subcmd__retained_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold help broker retained commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__help__subcmd__broker__subcmd__topics_commands] )) ||
_fieldhold__subcmd__help__subcmd__broker__subcmd__topics_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold help broker topics commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__help__subcmd__check_commands] )) ||
_fieldhold__subcmd__help__subcmd__check_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold help check commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__help__subcmd__completions_commands] )) ||
_fieldhold__subcmd__help__subcmd__completions_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold help completions commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__help__subcmd__config_commands] )) ||
_fieldhold__subcmd__help__subcmd__config_commands() {
    local commands; commands=(
'history:The versions that are kept\: who made them, when, what they changed, what became of them' \
'show:Print the text of a version' \
'diff:What two versions say differently' \
'rollback:Back to a version, or to the one before' \
'sign:Make a signed message that changes the configuration of gateways, or confirms a change' \
    )
    _describe -t commands 'fieldhold help config commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__help__subcmd__config__subcmd__diff_commands] )) ||
_fieldhold__subcmd__help__subcmd__config__subcmd__diff_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold help config diff commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__help__subcmd__config__subcmd__history_commands] )) ||
_fieldhold__subcmd__help__subcmd__config__subcmd__history_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold help config history commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__help__subcmd__config__subcmd__rollback_commands] )) ||
_fieldhold__subcmd__help__subcmd__config__subcmd__rollback_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold help config rollback commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__help__subcmd__config__subcmd__show_commands] )) ||
_fieldhold__subcmd__help__subcmd__config__subcmd__show_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold help config show commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__help__subcmd__config__subcmd__sign_commands] )) ||
_fieldhold__subcmd__help__subcmd__config__subcmd__sign_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold help config sign commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__help__subcmd__demo_commands] )) ||
_fieldhold__subcmd__help__subcmd__demo_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold help demo commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__help__subcmd__doctor_commands] )) ||
_fieldhold__subcmd__help__subcmd__doctor_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold help doctor commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__help__subcmd__frame_commands] )) ||
_fieldhold__subcmd__help__subcmd__frame_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold help frame commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__help__subcmd__help_commands] )) ||
_fieldhold__subcmd__help__subcmd__help_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold help help commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__help__subcmd__probe_commands] )) ||
_fieldhold__subcmd__help__subcmd__probe_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold help probe commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__help__subcmd__profile_commands] )) ||
_fieldhold__subcmd__help__subcmd__profile_commands() {
    local commands; commands=(
'list:List the profiles, or those that have all of these words' \
'show:Show one profile\: its tags, its source, its settings, and how to use it' \
'check:Check profiles\: every mistake at once' \
'import:Make a profile from what others wrote down' \
    )
    _describe -t commands 'fieldhold help profile commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__help__subcmd__profile__subcmd__check_commands] )) ||
_fieldhold__subcmd__help__subcmd__profile__subcmd__check_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold help profile check commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__help__subcmd__profile__subcmd__import_commands] )) ||
_fieldhold__subcmd__help__subcmd__profile__subcmd__import_commands() {
    local commands; commands=(
'sunspec:From the JSON files of the models (repository sunspec/models) that a device has' \
'csv:From a list with a header\: name, table, address, type, scale, unit, …' \
    )
    _describe -t commands 'fieldhold help profile import commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__help__subcmd__profile__subcmd__import__subcmd__csv_commands] )) ||
_fieldhold__subcmd__help__subcmd__profile__subcmd__import__subcmd__csv_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold help profile import csv commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__help__subcmd__profile__subcmd__import__subcmd__sunspec_commands] )) ||
_fieldhold__subcmd__help__subcmd__profile__subcmd__import__subcmd__sunspec_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold help profile import sunspec commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__help__subcmd__profile__subcmd__list_commands] )) ||
_fieldhold__subcmd__help__subcmd__profile__subcmd__list_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold help profile list commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__help__subcmd__profile__subcmd__show_commands] )) ||
_fieldhold__subcmd__help__subcmd__profile__subcmd__show_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold help profile show commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__help__subcmd__rehearse_commands] )) ||
_fieldhold__subcmd__help__subcmd__rehearse_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold help rehearse commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__help__subcmd__restore_commands] )) ||
_fieldhold__subcmd__help__subcmd__restore_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold help restore commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__help__subcmd__run_commands] )) ||
_fieldhold__subcmd__help__subcmd__run_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold help run commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__help__subcmd__scan_commands] )) ||
_fieldhold__subcmd__help__subcmd__scan_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold help scan commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__help__subcmd__setup_commands] )) ||
_fieldhold__subcmd__help__subcmd__setup_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold help setup commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__help__subcmd__setup-code_commands] )) ||
_fieldhold__subcmd__help__subcmd__setup-code_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold help setup-code commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__help__subcmd__simulate_commands] )) ||
_fieldhold__subcmd__help__subcmd__simulate_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold help simulate commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__help__subcmd__status_commands] )) ||
_fieldhold__subcmd__help__subcmd__status_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold help status commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__help__subcmd__store_commands] )) ||
_fieldhold__subcmd__help__subcmd__store_commands() {
    local commands; commands=(
'status:What is waiting, delivered and dropped, per uplink' \
'export:What is in the store'\''s file, as CSV or NDJSON' \
'tail:The newest readings and messages, and those that come' \
'drops:What was dropped, for whom and why' \
'verify:Whether the store'\''s file is sound' \
'salvage:Queue again what is whole in a damaged file' \
    )
    _describe -t commands 'fieldhold help store commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__help__subcmd__store__subcmd__drops_commands] )) ||
_fieldhold__subcmd__help__subcmd__store__subcmd__drops_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold help store drops commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__help__subcmd__store__subcmd__export_commands] )) ||
_fieldhold__subcmd__help__subcmd__store__subcmd__export_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold help store export commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__help__subcmd__store__subcmd__salvage_commands] )) ||
_fieldhold__subcmd__help__subcmd__store__subcmd__salvage_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold help store salvage commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__help__subcmd__store__subcmd__status_commands] )) ||
_fieldhold__subcmd__help__subcmd__store__subcmd__status_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold help store status commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__help__subcmd__store__subcmd__tail_commands] )) ||
_fieldhold__subcmd__help__subcmd__store__subcmd__tail_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold help store tail commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__help__subcmd__store__subcmd__verify_commands] )) ||
_fieldhold__subcmd__help__subcmd__store__subcmd__verify_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold help store verify commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__help__subcmd__support_commands] )) ||
_fieldhold__subcmd__help__subcmd__support_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold help support commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__help__subcmd__trace_commands] )) ||
_fieldhold__subcmd__help__subcmd__trace_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold help trace commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__help__subcmd__uplink_commands] )) ||
_fieldhold__subcmd__help__subcmd__uplink_commands() {
    local commands; commands=(
'test:Try an uplink from the configuration alone\: every step, and what to do where it ends' \
'status:Show what the uplinks of a running gateway are doing' \
'presets:List the cloud services that are known, or show all limits of one' \
    )
    _describe -t commands 'fieldhold help uplink commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__help__subcmd__uplink__subcmd__presets_commands] )) ||
_fieldhold__subcmd__help__subcmd__uplink__subcmd__presets_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold help uplink presets commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__help__subcmd__uplink__subcmd__status_commands] )) ||
_fieldhold__subcmd__help__subcmd__uplink__subcmd__status_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold help uplink status commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__help__subcmd__uplink__subcmd__test_commands] )) ||
_fieldhold__subcmd__help__subcmd__uplink__subcmd__test_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold help uplink test commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__help__subcmd__user_commands] )) ||
_fieldhold__subcmd__help__subcmd__user_commands() {
    local commands; commands=(
'list:Show who has an account' \
'add:Make an account; its password is asked for, or read from standard input' \
'passwd:Give an account a new password, and end its sessions' \
'remove:Remove an account, and end its sessions' \
    )
    _describe -t commands 'fieldhold help user commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__help__subcmd__user__subcmd__add_commands] )) ||
_fieldhold__subcmd__help__subcmd__user__subcmd__add_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold help user add commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__help__subcmd__user__subcmd__list_commands] )) ||
_fieldhold__subcmd__help__subcmd__user__subcmd__list_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold help user list commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__help__subcmd__user__subcmd__passwd_commands] )) ||
_fieldhold__subcmd__help__subcmd__user__subcmd__passwd_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold help user passwd commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__help__subcmd__user__subcmd__remove_commands] )) ||
_fieldhold__subcmd__help__subcmd__user__subcmd__remove_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold help user remove commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__probe_commands] )) ||
_fieldhold__subcmd__probe_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold probe commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__profile_commands] )) ||
_fieldhold__subcmd__profile_commands() {
    local commands; commands=(
'list:List the profiles, or those that have all of these words' \
'show:Show one profile\: its tags, its source, its settings, and how to use it' \
'check:Check profiles\: every mistake at once' \
'import:Make a profile from what others wrote down' \
'help:Print this message or the help of the given subcommand(s)' \
    )
    _describe -t commands 'fieldhold profile commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__profile__subcmd__check_commands] )) ||
_fieldhold__subcmd__profile__subcmd__check_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold profile check commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__profile__subcmd__help_commands] )) ||
_fieldhold__subcmd__profile__subcmd__help_commands() {
    local commands; commands=(
'list:List the profiles, or those that have all of these words' \
'show:Show one profile\: its tags, its source, its settings, and how to use it' \
'check:Check profiles\: every mistake at once' \
'import:Make a profile from what others wrote down' \
'help:Print this message or the help of the given subcommand(s)' \
    )
    _describe -t commands 'fieldhold profile help commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__profile__subcmd__help__subcmd__check_commands] )) ||
_fieldhold__subcmd__profile__subcmd__help__subcmd__check_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold profile help check commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__profile__subcmd__help__subcmd__help_commands] )) ||
_fieldhold__subcmd__profile__subcmd__help__subcmd__help_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold profile help help commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__profile__subcmd__help__subcmd__import_commands] )) ||
_fieldhold__subcmd__profile__subcmd__help__subcmd__import_commands() {
    local commands; commands=(
'sunspec:From the JSON files of the models (repository sunspec/models) that a device has' \
'csv:From a list with a header\: name, table, address, type, scale, unit, …' \
    )
    _describe -t commands 'fieldhold profile help import commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__profile__subcmd__help__subcmd__import__subcmd__csv_commands] )) ||
_fieldhold__subcmd__profile__subcmd__help__subcmd__import__subcmd__csv_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold profile help import csv commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__profile__subcmd__help__subcmd__import__subcmd__sunspec_commands] )) ||
_fieldhold__subcmd__profile__subcmd__help__subcmd__import__subcmd__sunspec_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold profile help import sunspec commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__profile__subcmd__help__subcmd__list_commands] )) ||
_fieldhold__subcmd__profile__subcmd__help__subcmd__list_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold profile help list commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__profile__subcmd__help__subcmd__show_commands] )) ||
_fieldhold__subcmd__profile__subcmd__help__subcmd__show_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold profile help show commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__profile__subcmd__import_commands] )) ||
_fieldhold__subcmd__profile__subcmd__import_commands() {
    local commands; commands=(
'sunspec:From the JSON files of the models (repository sunspec/models) that a device has' \
'csv:From a list with a header\: name, table, address, type, scale, unit, …' \
'help:Print this message or the help of the given subcommand(s)' \
    )
    _describe -t commands 'fieldhold profile import commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__profile__subcmd__import__subcmd__csv_commands] )) ||
_fieldhold__subcmd__profile__subcmd__import__subcmd__csv_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold profile import csv commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__profile__subcmd__import__subcmd__help_commands] )) ||
_fieldhold__subcmd__profile__subcmd__import__subcmd__help_commands() {
    local commands; commands=(
'sunspec:From the JSON files of the models (repository sunspec/models) that a device has' \
'csv:From a list with a header\: name, table, address, type, scale, unit, …' \
'help:Print this message or the help of the given subcommand(s)' \
    )
    _describe -t commands 'fieldhold profile import help commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__profile__subcmd__import__subcmd__help__subcmd__csv_commands] )) ||
_fieldhold__subcmd__profile__subcmd__import__subcmd__help__subcmd__csv_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold profile import help csv commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__profile__subcmd__import__subcmd__help__subcmd__help_commands] )) ||
_fieldhold__subcmd__profile__subcmd__import__subcmd__help__subcmd__help_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold profile import help help commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__profile__subcmd__import__subcmd__help__subcmd__sunspec_commands] )) ||
_fieldhold__subcmd__profile__subcmd__import__subcmd__help__subcmd__sunspec_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold profile import help sunspec commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__profile__subcmd__import__subcmd__sunspec_commands] )) ||
_fieldhold__subcmd__profile__subcmd__import__subcmd__sunspec_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold profile import sunspec commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__profile__subcmd__list_commands] )) ||
_fieldhold__subcmd__profile__subcmd__list_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold profile list commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__profile__subcmd__show_commands] )) ||
_fieldhold__subcmd__profile__subcmd__show_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold profile show commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__rehearse_commands] )) ||
_fieldhold__subcmd__rehearse_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold rehearse commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__restore_commands] )) ||
_fieldhold__subcmd__restore_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold restore commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__run_commands] )) ||
_fieldhold__subcmd__run_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold run commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__scan_commands] )) ||
_fieldhold__subcmd__scan_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold scan commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__setup_commands] )) ||
_fieldhold__subcmd__setup_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold setup commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__setup-code_commands] )) ||
_fieldhold__subcmd__setup-code_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold setup-code commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__simulate_commands] )) ||
_fieldhold__subcmd__simulate_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold simulate commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__status_commands] )) ||
_fieldhold__subcmd__status_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold status commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__store_commands] )) ||
_fieldhold__subcmd__store_commands() {
    local commands; commands=(
'status:What is waiting, delivered and dropped, per uplink' \
'export:What is in the store'\''s file, as CSV or NDJSON' \
'tail:The newest readings and messages, and those that come' \
'drops:What was dropped, for whom and why' \
'verify:Whether the store'\''s file is sound' \
'salvage:Queue again what is whole in a damaged file' \
'help:Print this message or the help of the given subcommand(s)' \
    )
    _describe -t commands 'fieldhold store commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__store__subcmd__drops_commands] )) ||
_fieldhold__subcmd__store__subcmd__drops_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold store drops commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__store__subcmd__export_commands] )) ||
_fieldhold__subcmd__store__subcmd__export_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold store export commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__store__subcmd__help_commands] )) ||
_fieldhold__subcmd__store__subcmd__help_commands() {
    local commands; commands=(
'status:What is waiting, delivered and dropped, per uplink' \
'export:What is in the store'\''s file, as CSV or NDJSON' \
'tail:The newest readings and messages, and those that come' \
'drops:What was dropped, for whom and why' \
'verify:Whether the store'\''s file is sound' \
'salvage:Queue again what is whole in a damaged file' \
'help:Print this message or the help of the given subcommand(s)' \
    )
    _describe -t commands 'fieldhold store help commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__store__subcmd__help__subcmd__drops_commands] )) ||
_fieldhold__subcmd__store__subcmd__help__subcmd__drops_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold store help drops commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__store__subcmd__help__subcmd__export_commands] )) ||
_fieldhold__subcmd__store__subcmd__help__subcmd__export_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold store help export commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__store__subcmd__help__subcmd__help_commands] )) ||
_fieldhold__subcmd__store__subcmd__help__subcmd__help_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold store help help commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__store__subcmd__help__subcmd__salvage_commands] )) ||
_fieldhold__subcmd__store__subcmd__help__subcmd__salvage_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold store help salvage commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__store__subcmd__help__subcmd__status_commands] )) ||
_fieldhold__subcmd__store__subcmd__help__subcmd__status_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold store help status commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__store__subcmd__help__subcmd__tail_commands] )) ||
_fieldhold__subcmd__store__subcmd__help__subcmd__tail_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold store help tail commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__store__subcmd__help__subcmd__verify_commands] )) ||
_fieldhold__subcmd__store__subcmd__help__subcmd__verify_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold store help verify commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__store__subcmd__salvage_commands] )) ||
_fieldhold__subcmd__store__subcmd__salvage_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold store salvage commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__store__subcmd__status_commands] )) ||
_fieldhold__subcmd__store__subcmd__status_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold store status commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__store__subcmd__tail_commands] )) ||
_fieldhold__subcmd__store__subcmd__tail_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold store tail commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__store__subcmd__verify_commands] )) ||
_fieldhold__subcmd__store__subcmd__verify_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold store verify commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__support_commands] )) ||
_fieldhold__subcmd__support_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold support commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__trace_commands] )) ||
_fieldhold__subcmd__trace_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold trace commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__uplink_commands] )) ||
_fieldhold__subcmd__uplink_commands() {
    local commands; commands=(
'test:Try an uplink from the configuration alone\: every step, and what to do where it ends' \
'status:Show what the uplinks of a running gateway are doing' \
'presets:List the cloud services that are known, or show all limits of one' \
'help:Print this message or the help of the given subcommand(s)' \
    )
    _describe -t commands 'fieldhold uplink commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__uplink__subcmd__help_commands] )) ||
_fieldhold__subcmd__uplink__subcmd__help_commands() {
    local commands; commands=(
'test:Try an uplink from the configuration alone\: every step, and what to do where it ends' \
'status:Show what the uplinks of a running gateway are doing' \
'presets:List the cloud services that are known, or show all limits of one' \
'help:Print this message or the help of the given subcommand(s)' \
    )
    _describe -t commands 'fieldhold uplink help commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__uplink__subcmd__help__subcmd__help_commands] )) ||
_fieldhold__subcmd__uplink__subcmd__help__subcmd__help_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold uplink help help commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__uplink__subcmd__help__subcmd__presets_commands] )) ||
_fieldhold__subcmd__uplink__subcmd__help__subcmd__presets_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold uplink help presets commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__uplink__subcmd__help__subcmd__status_commands] )) ||
_fieldhold__subcmd__uplink__subcmd__help__subcmd__status_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold uplink help status commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__uplink__subcmd__help__subcmd__test_commands] )) ||
_fieldhold__subcmd__uplink__subcmd__help__subcmd__test_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold uplink help test commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__uplink__subcmd__presets_commands] )) ||
_fieldhold__subcmd__uplink__subcmd__presets_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold uplink presets commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__uplink__subcmd__status_commands] )) ||
_fieldhold__subcmd__uplink__subcmd__status_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold uplink status commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__uplink__subcmd__test_commands] )) ||
_fieldhold__subcmd__uplink__subcmd__test_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold uplink test commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__user_commands] )) ||
_fieldhold__subcmd__user_commands() {
    local commands; commands=(
'list:Show who has an account' \
'add:Make an account; its password is asked for, or read from standard input' \
'passwd:Give an account a new password, and end its sessions' \
'remove:Remove an account, and end its sessions' \
'help:Print this message or the help of the given subcommand(s)' \
    )
    _describe -t commands 'fieldhold user commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__user__subcmd__add_commands] )) ||
_fieldhold__subcmd__user__subcmd__add_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold user add commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__user__subcmd__help_commands] )) ||
_fieldhold__subcmd__user__subcmd__help_commands() {
    local commands; commands=(
'list:Show who has an account' \
'add:Make an account; its password is asked for, or read from standard input' \
'passwd:Give an account a new password, and end its sessions' \
'remove:Remove an account, and end its sessions' \
'help:Print this message or the help of the given subcommand(s)' \
    )
    _describe -t commands 'fieldhold user help commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__user__subcmd__help__subcmd__add_commands] )) ||
_fieldhold__subcmd__user__subcmd__help__subcmd__add_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold user help add commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__user__subcmd__help__subcmd__help_commands] )) ||
_fieldhold__subcmd__user__subcmd__help__subcmd__help_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold user help help commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__user__subcmd__help__subcmd__list_commands] )) ||
_fieldhold__subcmd__user__subcmd__help__subcmd__list_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold user help list commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__user__subcmd__help__subcmd__passwd_commands] )) ||
_fieldhold__subcmd__user__subcmd__help__subcmd__passwd_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold user help passwd commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__user__subcmd__help__subcmd__remove_commands] )) ||
_fieldhold__subcmd__user__subcmd__help__subcmd__remove_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold user help remove commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__user__subcmd__list_commands] )) ||
_fieldhold__subcmd__user__subcmd__list_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold user list commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__user__subcmd__passwd_commands] )) ||
_fieldhold__subcmd__user__subcmd__passwd_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold user passwd commands' commands "$@"
}
(( $+functions[_fieldhold__subcmd__user__subcmd__remove_commands] )) ||
_fieldhold__subcmd__user__subcmd__remove_commands() {
    local commands; commands=()
    _describe -t commands 'fieldhold user remove commands' commands "$@"
}

if [ "$funcstack[1]" = "_fieldhold" ]; then
    _fieldhold "$@"
else
    compdef _fieldhold fieldhold
fi
