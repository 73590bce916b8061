# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_fieldhold_global_optspecs
    string join \n h/help V/version
end

function __fish_fieldhold_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_fieldhold_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_fieldhold_using_subcommand
    set -l cmd (__fish_fieldhold_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c fieldhold -n "__fish_fieldhold_needs_command" -s h -l help -d 'Print help'
complete -c fieldhold -n "__fish_fieldhold_needs_command" -s V -l version -d 'Print version'
complete -c fieldhold -n "__fish_fieldhold_needs_command" -f -a "run" -d 'Run the gateway'
complete -c fieldhold -n "__fish_fieldhold_needs_command" -f -a "check" -d 'Check a configuration: every mistake at once, or the plan'
complete -c fieldhold -n "__fish_fieldhold_needs_command" -f -a "config" -d 'Versions of the configuration: list, show, compare, go back; sign changes from afar'
complete -c fieldhold -n "__fish_fieldhold_needs_command" -f -a "status" -d 'Show what a running gateway is doing'
complete -c fieldhold -n "__fish_fieldhold_needs_command" -f -a "audit" -d 'Show who commanded what, and what became of it'
complete -c fieldhold -n "__fish_fieldhold_needs_command" -f -a "trace" -d 'Show the last exchanges of a bus, byte by byte'
complete -c fieldhold -n "__fish_fieldhold_needs_command" -f -a "probe" -d 'Show registers of a device in every interpretation, or find those that hold a value'
complete -c fieldhold -n "__fish_fieldhold_needs_command" -f -a "scan" -d 'Look for devices on a serial line or behind addresses on TCP'
complete -c fieldhold -n "__fish_fieldhold_needs_command" -f -a "profile" -d 'Device profiles: list, show and check them'
complete -c fieldhold -n "__fish_fieldhold_needs_command" -f -a "frame" -d 'Show what the bytes of a serial sensor mean: pasted, from a file, or live'
complete -c fieldhold -n "__fish_fieldhold_needs_command" -f -a "simulate" -d 'Play the devices of a configuration, with faults if wanted'
complete -c fieldhold -n "__fish_fieldhold_needs_command" -f -a "demo" -d 'A simulated plant, a LAN broker, a cloud: watch an outage without any hardware'
complete -c fieldhold -n "__fish_fieldhold_needs_command" -f -a "rehearse" -d 'What an outage of the cloud would come to: queue, drain, card wear, what would be dropped'
complete -c fieldhold -n "__fish_fieldhold_needs_command" -f -a "uplink" -d 'The way to a cloud broker: try it, show it, and the services that are known'
complete -c fieldhold -n "__fish_fieldhold_needs_command" -f -a "broker" -d 'The LAN broker: clients, topics, retained messages, passwords'
complete -c fieldhold -n "__fish_fieldhold_needs_command" -f -a "store" -d 'Look into the store'
complete -c fieldhold -n "__fish_fieldhold_needs_command" -f -a "user" -d 'Accounts of the web page: list, add, new password, remove'
complete -c fieldhold -n "__fish_fieldhold_needs_command" -f -a "backup" -d 'Everything of a gateway in one file, sealed with a passphrase'
complete -c fieldhold -n "__fish_fieldhold_needs_command" -f -a "restore" -d 'Put a backup in its place; what was there is kept aside'
complete -c fieldhold -n "__fish_fieldhold_needs_command" -f -a "doctor" -d 'Look for all that a person might have to mend, with the next step'
complete -c fieldhold -n "__fish_fieldhold_needs_command" -f -a "support" -d 'One file for whoever helps from afar, without passwords and keys'
complete -c fieldhold -n "__fish_fieldhold_needs_command" -f -a "setup" -d 'Make a first configuration and the first account of the web page, from a terminal'
complete -c fieldhold -n "__fish_fieldhold_needs_command" -f -a "setup-code" -d 'Show the code for making the first account on the web page'
complete -c fieldhold -n "__fish_fieldhold_needs_command" -f -a "completions" -d 'Write what a shell needs to complete commands and options'
complete -c fieldhold -n "__fish_fieldhold_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand run" -l import-from -d 'Where a configuration is looked for when there is none yet: a mounted stick, a boot partition; it is taken once, and copied to the file' -r -F
complete -c fieldhold -n "__fish_fieldhold_using_subcommand run" -l log-format -d 'How log lines look' -r -f -a "text\t''
json\t''"
complete -c fieldhold -n "__fish_fieldhold_using_subcommand run" -s h -l help -d 'Print help'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand check" -s h -l help -d 'Print help'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand config; and not __fish_seen_subcommand_from history show diff rollback sign help" -s h -l help -d 'Print help'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand config; and not __fish_seen_subcommand_from history show diff rollback sign help" -f -a "history" -d 'The versions that are kept: who made them, when, what they changed, what became of them'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand config; and not __fish_seen_subcommand_from history show diff rollback sign help" -f -a "show" -d 'Print the text of a version'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand config; and not __fish_seen_subcommand_from history show diff rollback sign help" -f -a "diff" -d 'What two versions say differently'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand config; and not __fish_seen_subcommand_from history show diff rollback sign help" -f -a "rollback" -d 'Back to a version, or to the one before'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand config; and not __fish_seen_subcommand_from history show diff rollback sign help" -f -a "sign" -d 'Make a signed message that changes the configuration of gateways, or confirms a change'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand config; and not __fish_seen_subcommand_from history show diff rollback sign help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand config; and __fish_seen_subcommand_from history" -l config -d 'The configuration file' -r -F
complete -c fieldhold -n "__fish_fieldhold_using_subcommand config; and __fish_seen_subcommand_from history" -l state-dir -d 'The state directory of the gateway, instead of looking it up in the configuration' -r -F
complete -c fieldhold -n "__fish_fieldhold_using_subcommand config; and __fish_seen_subcommand_from history" -l json -d 'Everything, as JSON'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand config; and __fish_seen_subcommand_from history" -s h -l help -d 'Print help'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand config; and __fish_seen_subcommand_from show" -l config -d 'The configuration file' -r -F
complete -c fieldhold -n "__fish_fieldhold_using_subcommand config; and __fish_seen_subcommand_from show" -l state-dir -d 'The state directory of the gateway, instead of looking it up in the configuration' -r -F
complete -c fieldhold -n "__fish_fieldhold_using_subcommand config; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand config; and __fish_seen_subcommand_from diff" -l config -d 'The configuration file' -r -F
complete -c fieldhold -n "__fish_fieldhold_using_subcommand config; and __fish_seen_subcommand_from diff" -l state-dir -d 'The state directory of the gateway, instead of looking it up in the configuration' -r -F
complete -c fieldhold -n "__fish_fieldhold_using_subcommand config; and __fish_seen_subcommand_from diff" -s h -l help -d 'Print help'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand config; and __fish_seen_subcommand_from rollback" -l config -d 'The configuration file' -r -F
complete -c fieldhold -n "__fish_fieldhold_using_subcommand config; and __fish_seen_subcommand_from rollback" -l state-dir -d 'The state directory of the gateway, instead of looking it up in the configuration' -r -F
complete -c fieldhold -n "__fish_fieldhold_using_subcommand config; and __fish_seen_subcommand_from rollback" -s h -l help -d 'Print help'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand config; and __fish_seen_subcommand_from sign" -l key -d 'The private key, as `openssl genpkey -algorithm ed25519` makes it' -r -F
complete -c fieldhold -n "__fish_fieldhold_using_subcommand config; and __fish_seen_subcommand_from sign" -l id -d 'What the gateways call the key; without it, the name of its file' -r
complete -c fieldhold -n "__fish_fieldhold_using_subcommand config; and __fish_seen_subcommand_from sign" -l serial -d 'The number of the message, larger than that of every message before to these gateways' -r
complete -c fieldhold -n "__fish_fieldhold_using_subcommand config; and __fish_seen_subcommand_from sign" -l for -d 'A gateway: its site/name, or its name if it has no site. May be repeated' -r
complete -c fieldhold -n "__fish_fieldhold_using_subcommand config; and __fish_seen_subcommand_from sign" -l group -d 'A group of gateways. May be repeated' -r
complete -c fieldhold -n "__fish_fieldhold_using_subcommand config; and __fish_seen_subcommand_from sign" -l stage -d 'Only so many percent of them, chosen by their names; signed again with more, and the same serial, the others follow' -r
complete -c fieldhold -n "__fish_fieldhold_using_subcommand config; and __fish_seen_subcommand_from sign" -l salt -d 'What the choice starts from; without it, the serial' -r
complete -c fieldhold -n "__fish_fieldhold_using_subcommand config; and __fish_seen_subcommand_from sign" -l within -d 'How long it may take to be confirmed, as in 90s; without it, what the gateway\'s says' -r
complete -c fieldhold -n "__fish_fieldhold_using_subcommand config; and __fish_seen_subcommand_from sign" -l expires -d 'How long the message counts, as in 1d; without it, for ever' -r
complete -c fieldhold -n "__fish_fieldhold_using_subcommand config; and __fish_seen_subcommand_from sign" -l confirms -d 'Instead of a configuration: let the one stand that came with this serial' -r
complete -c fieldhold -n "__fish_fieldhold_using_subcommand config; and __fish_seen_subcommand_from sign" -l ask-operator -d 'Let it stand only when it is confirmed by a message, not when the gateway is reachable again'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand config; and __fish_seen_subcommand_from sign" -l unchecked -d 'Sign it even with mistakes: profiles may be there that are not here'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand config; and __fish_seen_subcommand_from sign" -s h -l help -d 'Print help'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "history" -d 'The versions that are kept: who made them, when, what they changed, what became of them'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "show" -d 'Print the text of a version'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "diff" -d 'What two versions say differently'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "rollback" -d 'Back to a version, or to the one before'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "sign" -d 'Make a signed message that changes the configuration of gateways, or confirms a change'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand status" -l state-dir -d 'The state directory of the gateway, instead of looking it up in the configuration' -r -F
complete -c fieldhold -n "__fish_fieldhold_using_subcommand status" -l as-well-as -d 'Succeed only if everything that was well in FILE still is: an earlier answer of --json, or - for standard input' -r -F
complete -c fieldhold -n "__fish_fieldhold_using_subcommand status" -l json -d 'Everything, as JSON'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand status" -s h -l help -d 'Print help'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand audit" -l state-dir -d 'The state directory of the gateway, instead of looking it up in the configuration' -r -F
complete -c fieldhold -n "__fish_fieldhold_using_subcommand audit" -l last -d 'How many records, the newest last' -r
complete -c fieldhold -n "__fish_fieldhold_using_subcommand audit" -l json -d 'Everything, as JSON'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand audit" -s h -l help -d 'Print help'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand trace" -l state-dir -d 'The state directory of the gateway, instead of looking it up in the configuration' -r -F
complete -c fieldhold -n "__fish_fieldhold_using_subcommand trace" -l last -d 'Only the last N exchanges [default: 20 to show, all to export]' -r
complete -c fieldhold -n "__fish_fieldhold_using_subcommand trace" -l export -d 'Write to a file instead: FILE.txt as shown, FILE.pcap for Wireshark and tshark' -r -F
complete -c fieldhold -n "__fish_fieldhold_using_subcommand trace" -l follow -d 'Go on with what happens from now on, until interrupted'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand trace" -s h -l help -d 'Print help'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand probe" -l tcp -d 'A Modbus TCP device or converter, as HOST or HOST:PORT' -r
complete -c fieldhold -n "__fish_fieldhold_using_subcommand probe" -l udp -d 'A Modbus UDP device, as HOST or HOST:PORT' -r
complete -c fieldhold -n "__fish_fieldhold_using_subcommand probe" -l rtu -d 'A serial port with Modbus RTU devices' -r -F
complete -c fieldhold -n "__fish_fieldhold_using_subcommand probe" -l ascii -d 'A serial port with Modbus ASCII devices' -r -F
complete -c fieldhold -n "__fish_fieldhold_using_subcommand probe" -l framing -d 'What the frames look like: rtu or ascii for a converter that passes them on as they are' -r -f -a "tcp\t''
rtu\t''
ascii\t''"
complete -c fieldhold -n "__fish_fieldhold_using_subcommand probe" -l ca -d 'PEM file of the authorities to trust, instead of the system\'s' -r -F
complete -c fieldhold -n "__fish_fieldhold_using_subcommand probe" -l certificate -d 'PEM file of our own certificate' -r -F
complete -c fieldhold -n "__fish_fieldhold_using_subcommand probe" -l key -d 'PEM file of its key' -r -F
complete -c fieldhold -n "__fish_fieldhold_using_subcommand probe" -l server-name -d 'The name in the device\'s certificate, if it is not the host\'s' -r
complete -c fieldhold -n "__fish_fieldhold_using_subcommand probe" -l baud -d 'Baud rate of the serial line' -r
complete -c fieldhold -n "__fish_fieldhold_using_subcommand probe" -l data-bits -d 'Data bits; 8 with --rtu and 7 with --ascii, unless given' -r
complete -c fieldhold -n "__fish_fieldhold_using_subcommand probe" -l parity -d 'Parity of the serial line' -r -f -a "none\t''
even\t''
odd\t''"
complete -c fieldhold -n "__fish_fieldhold_using_subcommand probe" -l stop-bits -d 'Stop bits; 1 with a parity bit and 2 without, unless given' -r
complete -c fieldhold -n "__fish_fieldhold_using_subcommand probe" -l unit -d 'Unit (slave) id of the device' -r
complete -c fieldhold -n "__fish_fieldhold_using_subcommand probe" -l timeout-ms -d 'How long to wait for the answer, in milliseconds' -r
complete -c fieldhold -n "__fish_fieldhold_using_subcommand probe" -l at-once -d 'Most registers or bits in one request, for devices that take fewer than the protocol allows' -r
complete -c fieldhold -n "__fish_fieldhold_using_subcommand probe" -l find -d 'Look for the number that the device\'s own display shows, in every type, order and scale' -r
complete -c fieldhold -n "__fish_fieldhold_using_subcommand probe" -l tolerance -d 'How far a value may be from it; half of its last digit or 0.2 % unless given' -r
complete -c fieldhold -n "__fish_fieldhold_using_subcommand probe" -l tls -d 'With TLS (Modbus/TCP Security); the port is 802 then, unless given'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand probe" -l wide -d 'Show 64-bit values as well'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand probe" -l watch -d 'Read again every second and mark what changes'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand probe" -l identify -d 'Ask the device who it is (function 43/14)'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand probe" -s h -l help -d 'Print help'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand scan" -l rtu -d 'The serial port of a line with Modbus RTU devices; no gateway may be using it' -r -F
complete -c fieldhold -n "__fish_fieldhold_using_subcommand scan" -l tcp -d 'A Modbus TCP device or converter, as HOST or HOST:PORT; can be given several times' -r
complete -c fieldhold -n "__fish_fieldhold_using_subcommand scan" -l framing -d 'What the frames look like behind --tcp: rtu or ascii for a converter that passes them on' -r -f -a "tcp\t''
rtu\t''
ascii\t''"
complete -c fieldhold -n "__fish_fieldhold_using_subcommand scan" -l units -d 'Units to try, as in 1-10,17 [default: 1-247, and on TCP 0 and 255 as well]' -r
complete -c fieldhold -n "__fish_fieldhold_using_subcommand scan" -l baud -d 'Baud rates to try, as in 9600,19200 [default: the usual ones]' -r
complete -c fieldhold -n "__fish_fieldhold_using_subcommand scan" -l parity -d 'Parities to try [default: none,even,odd]' -r -f -a "none\t''
even\t''
odd\t''"
complete -c fieldhold -n "__fish_fieldhold_using_subcommand scan" -l stop-bits -d 'Stop bits to try; most devices understand 1 whatever they have [default: 1]' -r
complete -c fieldhold -n "__fish_fieldhold_using_subcommand scan" -l timeout-ms -d 'Longest wait for an answer, in milliseconds; answers shorten it [default: 300, on TCP 1500]' -r
complete -c fieldhold -n "__fish_fieldhold_using_subcommand scan" -l table -d 'What is read of each unit' -r -f -a "coil\t''
discrete\t''
holding\t''
input\t''"
complete -c fieldhold -n "__fish_fieldhold_using_subcommand scan" -l address -d 'Its zero-based address; a device that does not have it is found all the same' -r
complete -c fieldhold -n "__fish_fieldhold_using_subcommand scan" -s h -l help -d 'Print help'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand profile; and not __fish_seen_subcommand_from list show check import help" -s h -l help -d 'Print help'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand profile; and not __fish_seen_subcommand_from list show check import help" -f -a "list" -d 'List the profiles, or those that have all of these words'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand profile; and not __fish_seen_subcommand_from list show check import help" -f -a "show" -d 'Show one profile: its tags, its source, its settings, and how to use it'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand profile; and not __fish_seen_subcommand_from list show check import help" -f -a "check" -d 'Check profiles: every mistake at once'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand profile; and not __fish_seen_subcommand_from list show check import help" -f -a "import" -d 'Make a profile from what others wrote down'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand profile; and not __fish_seen_subcommand_from list show check import help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand profile; and __fish_seen_subcommand_from list" -l profiles -d 'The directory with your own profiles' -r -F
complete -c fieldhold -n "__fish_fieldhold_using_subcommand profile; and __fish_seen_subcommand_from list" -l times -d 'Compare the line time of one pass over all tags with simpler ways to read them'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand profile; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand profile; and __fish_seen_subcommand_from show" -l profiles -d 'The directory with your own profiles' -r -F
complete -c fieldhold -n "__fish_fieldhold_using_subcommand profile; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand profile; and __fish_seen_subcommand_from check" -s h -l help -d 'Print help'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand profile; and __fish_seen_subcommand_from import" -s h -l help -d 'Print help'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand profile; and __fish_seen_subcommand_from import" -f -a "sunspec" -d 'From the JSON files of the models (repository sunspec/models) that a device has'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand profile; and __fish_seen_subcommand_from import" -f -a "csv" -d 'From a list with a header: name, table, address, type, scale, unit, …'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand profile; and __fish_seen_subcommand_from import" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand profile; and __fish_seen_subcommand_from help" -f -a "list" -d 'List the profiles, or those that have all of these words'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand profile; and __fish_seen_subcommand_from help" -f -a "show" -d 'Show one profile: its tags, its source, its settings, and how to use it'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand profile; and __fish_seen_subcommand_from help" -f -a "check" -d 'Check profiles: every mistake at once'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand profile; and __fish_seen_subcommand_from help" -f -a "import" -d 'Make a profile from what others wrote down'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand profile; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand frame" -l preset -d 'A known format; --list shows them, and with a preset its fields' -r
complete -c fieldhold -n "__fish_fieldhold_using_subcommand frame" -l config -d 'A configuration file with a serial bus' -r -F
complete -c fieldhold -n "__fish_fieldhold_using_subcommand frame" -l bus -d 'The bus of the configuration file' -r
complete -c fieldhold -n "__fish_fieldhold_using_subcommand frame" -l port -d 'Capture from this serial port; with --config from the bus\'s own: --live' -r -F
complete -c fieldhold -n "__fish_fieldhold_using_subcommand frame" -l baud -d 'Baud rate of the port, if not the preset\'s' -r
complete -c fieldhold -n "__fish_fieldhold_using_subcommand frame" -l character -d 'Characters of the port as in 8N1 or 7E1, if not the preset\'s' -r
complete -c fieldhold -n "__fish_fieldhold_using_subcommand frame" -l seconds -d 'How many seconds to capture' -r
complete -c fieldhold -n "__fish_fieldhold_using_subcommand frame" -l hex -d 'Bytes as hexadecimal digits, blanks between them at will' -r
complete -c fieldhold -n "__fish_fieldhold_using_subcommand frame" -l text -d 'Bytes as text; \\r, \\n, \\t, \\\\ and \\xNN stand for themselves' -r
complete -c fieldhold -n "__fish_fieldhold_using_subcommand frame" -l list -d 'List the presets, or the fields of one'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand frame" -l live -d 'Capture from the wire of the configured bus'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand frame" -l file-hex -d 'The file holds hexadecimal digits'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand frame" -s h -l help -d 'Print help'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand simulate" -l profile -d 'Play a device of this profile instead, on TCP or, with --pty, on a serial line' -r
complete -c fieldhold -n "__fish_fieldhold_using_subcommand simulate" -l unit -d 'The device\'s unit; the factory\'s, or 1, unless given' -r
complete -c fieldhold -n "__fish_fieldhold_using_subcommand simulate" -l listen -d 'Where a bus on TCP listens, as [BUS=]ADDRESS:PORT; free loopback ports unless given' -r
complete -c fieldhold -n "__fish_fieldhold_using_subcommand simulate" -l pty -d 'Where a serial bus is linked, as [BUS=]PATH; in the temporary directory unless given' -r
complete -c fieldhold -n "__fish_fieldhold_using_subcommand simulate" -l seed -d 'Other values, and other moments for the faults of chance' -r
complete -c fieldhold -n "__fish_fieldhold_using_subcommand simulate" -l set -d 'Gives a tag a value that stays until it is written' -r
complete -c fieldhold -n "__fish_fieldhold_using_subcommand simulate" -l fault -d 'Makes answers go wrong: NAME[=VALUE][:every=N][:share=N%][:unit=N][:from=TIME][:to=TIME][:bus=NAME]; `--fault help` lists the names' -r
complete -c fieldhold -n "__fish_fieldhold_using_subcommand simulate" -l faults -d 'A file of such faults, one a line, # for comments' -r -F
complete -c fieldhold -n "__fish_fieldhold_using_subcommand simulate" -l fixed -d 'Values don\'t move'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand simulate" -s h -l help -d 'Print help'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand demo" -l state-dir -d 'Keep the store here instead of in a temporary directory' -r -F
complete -c fieldhold -n "__fish_fieldhold_using_subcommand demo" -l lan -d 'Where the LAN broker listens; port 0 takes a free one' -r
complete -c fieldhold -n "__fish_fieldhold_using_subcommand demo" -l web -d 'Where the web page is; a free port is taken if this one is in use' -r
complete -c fieldhold -n "__fish_fieldhold_using_subcommand demo" -s h -l help -d 'Print help'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand rehearse" -l outage -d 'How long the uplinks are away: 10s to 366d' -r
complete -c fieldhold -n "__fish_fieldhold_using_subcommand rehearse" -l rtt -d 'From a message to its acknowledgement, up to 1min; `fieldhold uplink test` measures it' -r
complete -c fieldhold -n "__fish_fieldhold_using_subcommand rehearse" -l dir -d 'Where temporary files are made, up to 290 MB; the system\'s directory for them unless given' -r -F
complete -c fieldhold -n "__fish_fieldhold_using_subcommand rehearse" -l seed -d 'Other values of the simulated devices' -r
complete -c fieldhold -n "__fish_fieldhold_using_subcommand rehearse" -l json -d 'Everything, as JSON'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand rehearse" -s h -l help -d 'Print help'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand uplink; and not __fish_seen_subcommand_from test status presets help" -s h -l help -d 'Print help'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand uplink; and not __fish_seen_subcommand_from test status presets help" -f -a "test" -d 'Try an uplink from the configuration alone: every step, and what to do where it ends'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand uplink; and not __fish_seen_subcommand_from test status presets help" -f -a "status" -d 'Show what the uplinks of a running gateway are doing'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand uplink; and not __fish_seen_subcommand_from test status presets help" -f -a "presets" -d 'List the cloud services that are known, or show all limits of one'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand uplink; and not __fish_seen_subcommand_from test status presets help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand uplink; and __fish_seen_subcommand_from test" -l json -d 'One JSON object per step and line'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand uplink; and __fish_seen_subcommand_from test" -s h -l help -d 'Print help'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand uplink; and __fish_seen_subcommand_from status" -l state-dir -d 'The state directory of the gateway, instead of looking it up in the configuration' -r -F
complete -c fieldhold -n "__fish_fieldhold_using_subcommand uplink; and __fish_seen_subcommand_from status" -l json -d 'As JSON, by name'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand uplink; and __fish_seen_subcommand_from status" -s h -l help -d 'Print help'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand uplink; and __fish_seen_subcommand_from presets" -s h -l help -d 'Print help'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand uplink; and __fish_seen_subcommand_from help" -f -a "test" -d 'Try an uplink from the configuration alone: every step, and what to do where it ends'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand uplink; and __fish_seen_subcommand_from help" -f -a "status" -d 'Show what the uplinks of a running gateway are doing'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand uplink; and __fish_seen_subcommand_from help" -f -a "presets" -d 'List the cloud services that are known, or show all limits of one'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand uplink; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand broker; and not __fish_seen_subcommand_from clients kick topics retained password help" -s h -l help -d 'Print help'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand broker; and not __fish_seen_subcommand_from clients kick topics retained password help" -f -a "clients" -d 'Who is connected or has a session, and how they fare'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand broker; and not __fish_seen_subcommand_from clients kick topics retained password help" -f -a "kick" -d 'Disconnect a client; it may come back'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand broker; and not __fish_seen_subcommand_from clients kick topics retained password help" -f -a "topics" -d 'Who subscribed to what, and what is published where'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand broker; and not __fish_seen_subcommand_from clients kick topics retained password help" -f -a "retained" -d 'Retained messages: list or remove them'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand broker; and not __fish_seen_subcommand_from clients kick topics retained password help" -f -a "password" -d 'Make the line of a user\'s password, from the terminal or standard input'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand broker; and not __fish_seen_subcommand_from clients kick topics retained password help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand broker; and __fish_seen_subcommand_from clients" -l state-dir -d 'The state directory of the gateway, instead of looking it up in the configuration' -r -F
complete -c fieldhold -n "__fish_fieldhold_using_subcommand broker; and __fish_seen_subcommand_from clients" -l json -d 'One JSON object per line'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand broker; and __fish_seen_subcommand_from clients" -s h -l help -d 'Print help'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand broker; and __fish_seen_subcommand_from kick" -l state-dir -d 'The state directory of the gateway, instead of looking it up in the configuration' -r -F
complete -c fieldhold -n "__fish_fieldhold_using_subcommand broker; and __fish_seen_subcommand_from kick" -l session -d 'End its session, too: its subscriptions and what waits for it are gone'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand broker; and __fish_seen_subcommand_from kick" -s h -l help -d 'Print help'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand broker; and __fish_seen_subcommand_from topics" -l state-dir -d 'The state directory of the gateway, instead of looking it up in the configuration' -r -F
complete -c fieldhold -n "__fish_fieldhold_using_subcommand broker; and __fish_seen_subcommand_from topics" -l json -d 'One JSON object per line; subscriptions have a `filter`, topics a `topic`'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand broker; and __fish_seen_subcommand_from topics" -s h -l help -d 'Print help'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand broker; and __fish_seen_subcommand_from retained" -l state-dir -d 'The state directory of the gateway, instead of looking it up in the configuration' -r -F
complete -c fieldhold -n "__fish_fieldhold_using_subcommand broker; and __fish_seen_subcommand_from retained" -l remove -d 'Remove those that match the filter; subscribers are sent an empty message'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand broker; and __fish_seen_subcommand_from retained" -l json -d 'One JSON object per line'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand broker; and __fish_seen_subcommand_from retained" -s h -l help -d 'Print help'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand broker; and __fish_seen_subcommand_from password" -s h -l help -d 'Print help'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand broker; and __fish_seen_subcommand_from help" -f -a "clients" -d 'Who is connected or has a session, and how they fare'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand broker; and __fish_seen_subcommand_from help" -f -a "kick" -d 'Disconnect a client; it may come back'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand broker; and __fish_seen_subcommand_from help" -f -a "topics" -d 'Who subscribed to what, and what is published where'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand broker; and __fish_seen_subcommand_from help" -f -a "retained" -d 'Retained messages: list or remove them'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand broker; and __fish_seen_subcommand_from help" -f -a "password" -d 'Make the line of a user\'s password, from the terminal or standard input'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand broker; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand store; and not __fish_seen_subcommand_from status export tail drops verify salvage help" -s h -l help -d 'Print help'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand store; and not __fish_seen_subcommand_from status export tail drops verify salvage help" -f -a "status" -d 'What is waiting, delivered and dropped, per uplink'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand store; and not __fish_seen_subcommand_from status export tail drops verify salvage help" -f -a "export" -d 'What is in the store\'s file, as CSV or NDJSON'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand store; and not __fish_seen_subcommand_from status export tail drops verify salvage help" -f -a "tail" -d 'The newest readings and messages, and those that come'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand store; and not __fish_seen_subcommand_from status export tail drops verify salvage help" -f -a "drops" -d 'What was dropped, for whom and why'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand store; and not __fish_seen_subcommand_from status export tail drops verify salvage help" -f -a "verify" -d 'Whether the store\'s file is sound'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand store; and not __fish_seen_subcommand_from status export tail drops verify salvage help" -f -a "salvage" -d 'Queue again what is whole in a damaged file'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand store; and not __fish_seen_subcommand_from status export tail drops verify salvage help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand store; and __fish_seen_subcommand_from status" -l state-dir -d 'The state directory of the gateway, instead of looking it up in the configuration' -r -F
complete -c fieldhold -n "__fish_fieldhold_using_subcommand store; and __fish_seen_subcommand_from status" -l file -d 'A copy of a store\'s file: queue.db, with its queue.db-wal beside it if there was one' -r -F
complete -c fieldhold -n "__fish_fieldhold_using_subcommand store; and __fish_seen_subcommand_from status" -l json -d 'Everything, as JSON'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand store; and __fish_seen_subcommand_from status" -s h -l help -d 'Print help'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand store; and __fish_seen_subcommand_from export" -l state-dir -d 'The state directory of the gateway, instead of looking it up in the configuration' -r -F
complete -c fieldhold -n "__fish_fieldhold_using_subcommand store; and __fish_seen_subcommand_from export" -l file -d 'A copy of a store\'s file: queue.db, with its queue.db-wal beside it if there was one' -r -F
complete -c fieldhold -n "__fish_fieldhold_using_subcommand store; and __fish_seen_subcommand_from export" -l from -d 'From this time on, UTC: 2026-11-23, 2026-11-23T14:31 or 2026-11-23T14:31:00.500Z' -r
complete -c fieldhold -n "__fish_fieldhold_using_subcommand store; and __fish_seen_subcommand_from export" -l to -d 'Before this time' -r
complete -c fieldhold -n "__fish_fieldhold_using_subcommand store; and __fish_seen_subcommand_from export" -l tag -d 'Only topics that match this MQTT filter, as plant1/+/press/#; may be given several times' -r
complete -c fieldhold -n "__fish_fieldhold_using_subcommand store; and __fish_seen_subcommand_from export" -l class -d 'Only this class; may be given several times' -r
complete -c fieldhold -n "__fish_fieldhold_using_subcommand store; and __fish_seen_subcommand_from export" -l consumer -d 'Only what waits for this uplink' -r
complete -c fieldhold -n "__fish_fieldhold_using_subcommand store; and __fish_seen_subcommand_from export" -l format -r -f -a "csv\t'For spreadsheets: a heading, one line each'
ndjson\t'For programs: one JSON object per line, with messages\' QoS and times in milliseconds'"
complete -c fieldhold -n "__fish_fieldhold_using_subcommand store; and __fish_seen_subcommand_from export" -s o -l output -d 'Write to this file, which must not exist yet, instead of standard output' -r -F
complete -c fieldhold -n "__fish_fieldhold_using_subcommand store; and __fish_seen_subcommand_from export" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand store; and __fish_seen_subcommand_from tail" -l state-dir -d 'The state directory of the gateway, instead of looking it up in the configuration' -r -F
complete -c fieldhold -n "__fish_fieldhold_using_subcommand store; and __fish_seen_subcommand_from tail" -l file -d 'A copy of a store\'s file: queue.db, with its queue.db-wal beside it if there was one' -r -F
complete -c fieldhold -n "__fish_fieldhold_using_subcommand store; and __fish_seen_subcommand_from tail" -l from -d 'From this time on, UTC: 2026-11-23, 2026-11-23T14:31 or 2026-11-23T14:31:00.500Z' -r
complete -c fieldhold -n "__fish_fieldhold_using_subcommand store; and __fish_seen_subcommand_from tail" -l to -d 'Before this time' -r
complete -c fieldhold -n "__fish_fieldhold_using_subcommand store; and __fish_seen_subcommand_from tail" -l tag -d 'Only topics that match this MQTT filter, as plant1/+/press/#; may be given several times' -r
complete -c fieldhold -n "__fish_fieldhold_using_subcommand store; and __fish_seen_subcommand_from tail" -l class -d 'Only this class; may be given several times' -r
complete -c fieldhold -n "__fish_fieldhold_using_subcommand store; and __fish_seen_subcommand_from tail" -s n -l last -d 'How many to begin with, the newest last' -r
complete -c fieldhold -n "__fish_fieldhold_using_subcommand store; and __fish_seen_subcommand_from tail" -s f -l follow -d 'Go on with what comes, until interrupted'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand store; and __fish_seen_subcommand_from tail" -l json -d 'One JSON object per line, as `export --format ndjson`'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand store; and __fish_seen_subcommand_from tail" -s h -l help -d 'Print help'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand store; and __fish_seen_subcommand_from drops" -l state-dir -d 'The state directory of the gateway, instead of looking it up in the configuration' -r -F
complete -c fieldhold -n "__fish_fieldhold_using_subcommand store; and __fish_seen_subcommand_from drops" -l file -d 'A copy of a store\'s file: queue.db, with its queue.db-wal beside it if there was one' -r -F
complete -c fieldhold -n "__fish_fieldhold_using_subcommand store; and __fish_seen_subcommand_from drops" -s n -l last -d 'How many rows, the newest last' -r
complete -c fieldhold -n "__fish_fieldhold_using_subcommand store; and __fish_seen_subcommand_from drops" -l json -d 'As JSON'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand store; and __fish_seen_subcommand_from drops" -l csv -d 'As CSV'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand store; and __fish_seen_subcommand_from drops" -s h -l help -d 'Print help'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand store; and __fish_seen_subcommand_from verify" -l state-dir -d 'The state directory of the gateway, instead of looking it up in the configuration' -r -F
complete -c fieldhold -n "__fish_fieldhold_using_subcommand store; and __fish_seen_subcommand_from verify" -l file -d 'A copy of a store\'s file: queue.db, with its queue.db-wal beside it if there was one' -r -F
complete -c fieldhold -n "__fish_fieldhold_using_subcommand store; and __fish_seen_subcommand_from verify" -l json -d 'Everything, as JSON'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand store; and __fish_seen_subcommand_from verify" -s h -l help -d 'Print help'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand store; and __fish_seen_subcommand_from salvage" -l into -d 'The state directory of a gateway that is not running; it delivers what comes back when it is started' -r -F
complete -c fieldhold -n "__fish_fieldhold_using_subcommand store; and __fish_seen_subcommand_from salvage" -l json -d 'The result, as JSON'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand store; and __fish_seen_subcommand_from salvage" -s h -l help -d 'Print help'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand store; and __fish_seen_subcommand_from help" -f -a "status" -d 'What is waiting, delivered and dropped, per uplink'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand store; and __fish_seen_subcommand_from help" -f -a "export" -d 'What is in the store\'s file, as CSV or NDJSON'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand store; and __fish_seen_subcommand_from help" -f -a "tail" -d 'The newest readings and messages, and those that come'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand store; and __fish_seen_subcommand_from help" -f -a "drops" -d 'What was dropped, for whom and why'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand store; and __fish_seen_subcommand_from help" -f -a "verify" -d 'Whether the store\'s file is sound'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand store; and __fish_seen_subcommand_from help" -f -a "salvage" -d 'Queue again what is whole in a damaged file'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand store; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand user; and not __fish_seen_subcommand_from list add passwd remove help" -s h -l help -d 'Print help'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand user; and not __fish_seen_subcommand_from list add passwd remove help" -f -a "list" -d 'Show who has an account'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand user; and not __fish_seen_subcommand_from list add passwd remove help" -f -a "add" -d 'Make an account; its password is asked for, or read from standard input'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand user; and not __fish_seen_subcommand_from list add passwd remove help" -f -a "passwd" -d 'Give an account a new password, and end its sessions'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand user; and not __fish_seen_subcommand_from list add passwd remove help" -f -a "remove" -d 'Remove an account, and end its sessions'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand user; and not __fish_seen_subcommand_from list add passwd remove help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand user; and __fish_seen_subcommand_from list" -l state-dir -d 'The state directory of the gateway, instead of looking it up in the configuration' -r -F
complete -c fieldhold -n "__fish_fieldhold_using_subcommand user; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand user; and __fish_seen_subcommand_from add" -l role -d 'What it may do: look, operate, or change everything' -r -f -a "viewer\t''
operator\t''
admin\t''"
complete -c fieldhold -n "__fish_fieldhold_using_subcommand user; and __fish_seen_subcommand_from add" -l state-dir -d 'The state directory of the gateway, instead of looking it up in the configuration' -r -F
complete -c fieldhold -n "__fish_fieldhold_using_subcommand user; and __fish_seen_subcommand_from add" -s h -l help -d 'Print help'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand user; and __fish_seen_subcommand_from passwd" -l state-dir -d 'The state directory of the gateway, instead of looking it up in the configuration' -r -F
complete -c fieldhold -n "__fish_fieldhold_using_subcommand user; and __fish_seen_subcommand_from passwd" -s h -l help -d 'Print help'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand user; and __fish_seen_subcommand_from remove" -l state-dir -d 'The state directory of the gateway, instead of looking it up in the configuration' -r -F
complete -c fieldhold -n "__fish_fieldhold_using_subcommand user; and __fish_seen_subcommand_from remove" -s h -l help -d 'Print help'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand user; and __fish_seen_subcommand_from help" -f -a "list" -d 'Show who has an account'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand user; and __fish_seen_subcommand_from help" -f -a "add" -d 'Make an account; its password is asked for, or read from standard input'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand user; and __fish_seen_subcommand_from help" -f -a "passwd" -d 'Give an account a new password, and end its sessions'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand user; and __fish_seen_subcommand_from help" -f -a "remove" -d 'Remove an account, and end its sessions'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand user; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand backup" -l passphrase-file -d 'A file with the passphrase; without it, it is asked for, or read from standard input' -r -F
complete -c fieldhold -n "__fish_fieldhold_using_subcommand backup" -l queue -d 'With what waits in the store, and the LAN broker\'s sessions and retained messages'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand backup" -s h -l help -d 'Print help'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand restore" -l passphrase-file -d 'A file with the passphrase; without it, it is asked for, or read from standard input' -r -F
complete -c fieldhold -n "__fish_fieldhold_using_subcommand restore" -l dry-run -d 'Open and check all of it, show what would be done, and change nothing'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand restore" -s h -l help -d 'Print help'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand doctor" -l json -d 'Everything, as JSON'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand doctor" -s h -l help -d 'Print help'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand support" -s h -l help -d 'Print help'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand setup" -l name -d 'How the gateway is called in topics [default: the name of the machine]' -r
complete -c fieldhold -n "__fish_fieldhold_using_subcommand setup" -l site -d 'The site it stands at, the first level of topics; \'\' for none' -r
complete -c fieldhold -n "__fish_fieldhold_using_subcommand setup" -l page -d 'Where the web page listens, as 0.0.0.0:8443, or off' -r
complete -c fieldhold -n "__fish_fieldhold_using_subcommand setup" -l admin -d 'The first account of the page, or later: then the page asks for its setup code' -r
complete -c fieldhold -n "__fish_fieldhold_using_subcommand setup" -l uplink -d 'The first MQTT broker that readings go to, as mqtts://HOST:8883, or later' -r
complete -c fieldhold -n "__fish_fieldhold_using_subcommand setup" -l uplink-username -d 'Who the gateway is there' -r
complete -c fieldhold -n "__fish_fieldhold_using_subcommand setup" -l uplink-password-file -d 'A file with the password there; it is copied beside the configuration' -r -F
complete -c fieldhold -n "__fish_fieldhold_using_subcommand setup" -s y -l yes -d 'Ask nothing: what is not said has its default'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand setup" -s h -l help -d 'Print help'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand setup-code" -l state-dir -d 'The state directory of the gateway, instead of looking it up in the configuration' -r -F
complete -c fieldhold -n "__fish_fieldhold_using_subcommand setup-code" -s h -l help -d 'Print help'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand completions" -s h -l help -d 'Print help'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand help; and not __fish_seen_subcommand_from run check config status audit trace probe scan profile frame simulate demo rehearse uplink broker store user backup restore doctor support setup setup-code completions help" -f -a "run" -d 'Run the gateway'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand help; and not __fish_seen_subcommand_from run check config status audit trace probe scan profile frame simulate demo rehearse uplink broker store user backup restore doctor support setup setup-code completions help" -f -a "check" -d 'Check a configuration: every mistake at once, or the plan'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand help; and not __fish_seen_subcommand_from run check config status audit trace probe scan profile frame simulate demo rehearse uplink broker store user backup restore doctor support setup setup-code completions help" -f -a "config" -d 'Versions of the configuration: list, show, compare, go back; sign changes from afar'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand help; and not __fish_seen_subcommand_from run check config status audit trace probe scan profile frame simulate demo rehearse uplink broker store user backup restore doctor support setup setup-code completions help" -f -a "status" -d 'Show what a running gateway is doing'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand help; and not __fish_seen_subcommand_from run check config status audit trace probe scan profile frame simulate demo rehearse uplink broker store user backup restore doctor support setup setup-code completions help" -f -a "audit" -d 'Show who commanded what, and what became of it'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand help; and not __fish_seen_subcommand_from run check config status audit trace probe scan profile frame simulate demo rehearse uplink broker store user backup restore doctor support setup setup-code completions help" -f -a "trace" -d 'Show the last exchanges of a bus, byte by byte'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand help; and not __fish_seen_subcommand_from run check config status audit trace probe scan profile frame simulate demo rehearse uplink broker store user backup restore doctor support setup setup-code completions help" -f -a "probe" -d 'Show registers of a device in every interpretation, or find those that hold a value'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand help; and not __fish_seen_subcommand_from run check config status audit trace probe scan profile frame simulate demo rehearse uplink broker store user backup restore doctor support setup setup-code completions help" -f -a "scan" -d 'Look for devices on a serial line or behind addresses on TCP'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand help; and not __fish_seen_subcommand_from run check config status audit trace probe scan profile frame simulate demo rehearse uplink broker store user backup restore doctor support setup setup-code completions help" -f -a "profile" -d 'Device profiles: list, show and check them'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand help; and not __fish_seen_subcommand_from run check config status audit trace probe scan profile frame simulate demo rehearse uplink broker store user backup restore doctor support setup setup-code completions help" -f -a "frame" -d 'Show what the bytes of a serial sensor mean: pasted, from a file, or live'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand help; and not __fish_seen_subcommand_from run check config status audit trace probe scan profile frame simulate demo rehearse uplink broker store user backup restore doctor support setup setup-code completions help" -f -a "simulate" -d 'Play the devices of a configuration, with faults if wanted'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand help; and not __fish_seen_subcommand_from run check config status audit trace probe scan profile frame simulate demo rehearse uplink broker store user backup restore doctor support setup setup-code completions help" -f -a "demo" -d 'A simulated plant, a LAN broker, a cloud: watch an outage without any hardware'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand help; and not __fish_seen_subcommand_from run check config status audit trace probe scan profile frame simulate demo rehearse uplink broker store user backup restore doctor support setup setup-code completions help" -f -a "rehearse" -d 'What an outage of the cloud would come to: queue, drain, card wear, what would be dropped'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand help; and not __fish_seen_subcommand_from run check config status audit trace probe scan profile frame simulate demo rehearse uplink broker store user backup restore doctor support setup setup-code completions help" -f -a "uplink" -d 'The way to a cloud broker: try it, show it, and the services that are known'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand help; and not __fish_seen_subcommand_from run check config status audit trace probe scan profile frame simulate demo rehearse uplink broker store user backup restore doctor support setup setup-code completions help" -f -a "broker" -d 'The LAN broker: clients, topics, retained messages, passwords'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand help; and not __fish_seen_subcommand_from run check config status audit trace probe scan profile frame simulate demo rehearse uplink broker store user backup restore doctor support setup setup-code completions help" -f -a "store" -d 'Look into the store'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand help; and not __fish_seen_subcommand_from run check config status audit trace probe scan profile frame simulate demo rehearse uplink broker store user backup restore doctor support setup setup-code completions help" -f -a "user" -d 'Accounts of the web page: list, add, new password, remove'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand help; and not __fish_seen_subcommand_from run check config status audit trace probe scan profile frame simulate demo rehearse uplink broker store user backup restore doctor support setup setup-code completions help" -f -a "backup" -d 'Everything of a gateway in one file, sealed with a passphrase'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand help; and not __fish_seen_subcommand_from run check config status audit trace probe scan profile frame simulate demo rehearse uplink broker store user backup restore doctor support setup setup-code completions help" -f -a "restore" -d 'Put a backup in its place; what was there is kept aside'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand help; and not __fish_seen_subcommand_from run check config status audit trace probe scan profile frame simulate demo rehearse uplink broker store user backup restore doctor support setup setup-code completions help" -f -a "doctor" -d 'Look for all that a person might have to mend, with the next step'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand help; and not __fish_seen_subcommand_from run check config status audit trace probe scan profile frame simulate demo rehearse uplink broker store user backup restore doctor support setup setup-code completions help" -f -a "support" -d 'One file for whoever helps from afar, without passwords and keys'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand help; and not __fish_seen_subcommand_from run check config status audit trace probe scan profile frame simulate demo rehearse uplink broker store user backup restore doctor support setup setup-code completions help" -f -a "setup" -d 'Make a first configuration and the first account of the web page, from a terminal'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand help; and not __fish_seen_subcommand_from run check config status audit trace probe scan profile frame simulate demo rehearse uplink broker store user backup restore doctor support setup setup-code completions help" -f -a "setup-code" -d 'Show the code for making the first account on the web page'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand help; and not __fish_seen_subcommand_from run check config status audit trace probe scan profile frame simulate demo rehearse uplink broker store user backup restore doctor support setup setup-code completions help" -f -a "completions" -d 'Write what a shell needs to complete commands and options'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand help; and not __fish_seen_subcommand_from run check config status audit trace probe scan profile frame simulate demo rehearse uplink broker store user backup restore doctor support setup setup-code completions help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand help; and __fish_seen_subcommand_from config" -f -a "history" -d 'The versions that are kept: who made them, when, what they changed, what became of them'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand help; and __fish_seen_subcommand_from config" -f -a "show" -d 'Print the text of a version'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand help; and __fish_seen_subcommand_from config" -f -a "diff" -d 'What two versions say differently'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand help; and __fish_seen_subcommand_from config" -f -a "rollback" -d 'Back to a version, or to the one before'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand help; and __fish_seen_subcommand_from config" -f -a "sign" -d 'Make a signed message that changes the configuration of gateways, or confirms a change'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand help; and __fish_seen_subcommand_from profile" -f -a "list" -d 'List the profiles, or those that have all of these words'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand help; and __fish_seen_subcommand_from profile" -f -a "show" -d 'Show one profile: its tags, its source, its settings, and how to use it'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand help; and __fish_seen_subcommand_from profile" -f -a "check" -d 'Check profiles: every mistake at once'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand help; and __fish_seen_subcommand_from profile" -f -a "import" -d 'Make a profile from what others wrote down'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand help; and __fish_seen_subcommand_from uplink" -f -a "test" -d 'Try an uplink from the configuration alone: every step, and what to do where it ends'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand help; and __fish_seen_subcommand_from uplink" -f -a "status" -d 'Show what the uplinks of a running gateway are doing'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand help; and __fish_seen_subcommand_from uplink" -f -a "presets" -d 'List the cloud services that are known, or show all limits of one'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand help; and __fish_seen_subcommand_from broker" -f -a "clients" -d 'Who is connected or has a session, and how they fare'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand help; and __fish_seen_subcommand_from broker" -f -a "kick" -d 'Disconnect a client; it may come back'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand help; and __fish_seen_subcommand_from broker" -f -a "topics" -d 'Who subscribed to what, and what is published where'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand help; and __fish_seen_subcommand_from broker" -f -a "retained" -d 'Retained messages: list or remove them'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand help; and __fish_seen_subcommand_from broker" -f -a "password" -d 'Make the line of a user\'s password, from the terminal or standard input'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand help; and __fish_seen_subcommand_from store" -f -a "status" -d 'What is waiting, delivered and dropped, per uplink'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand help; and __fish_seen_subcommand_from store" -f -a "export" -d 'What is in the store\'s file, as CSV or NDJSON'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand help; and __fish_seen_subcommand_from store" -f -a "tail" -d 'The newest readings and messages, and those that come'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand help; and __fish_seen_subcommand_from store" -f -a "drops" -d 'What was dropped, for whom and why'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand help; and __fish_seen_subcommand_from store" -f -a "verify" -d 'Whether the store\'s file is sound'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand help; and __fish_seen_subcommand_from store" -f -a "salvage" -d 'Queue again what is whole in a damaged file'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand help; and __fish_seen_subcommand_from user" -f -a "list" -d 'Show who has an account'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand help; and __fish_seen_subcommand_from user" -f -a "add" -d 'Make an account; its password is asked for, or read from standard input'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand help; and __fish_seen_subcommand_from user" -f -a "passwd" -d 'Give an account a new password, and end its sessions'
complete -c fieldhold -n "__fish_fieldhold_using_subcommand help; and __fish_seen_subcommand_from user" -f -a "remove" -d 'Remove an account, and end its sessions'
