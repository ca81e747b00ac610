"""Mistakes in the bridge's tables of a topology file, and the beginning of what is said of each.

Lines count from the one after `[bridge]` and its contracts; the file has the nodes `one`, and `two`, which
has a port.
"""

from __future__ import annotations

from typing import Final

__all__ = ["MISTAKES", "listener", "rule", "worker"]


def listener(text: str) -> str:
    return f'[[bridge.listeners]]\nname = "x"\n{text}\n'


def rule(text: str) -> str:
    return f"[[access]]\n{text}\n"


def worker(text: str, name: str = "w", command: str = '["sh"]') -> str:
    return f'[[workers]]\nname = "{name}"\ncommand = {command}\n{text}\n'


MISTAKES: Final = [
    # [bridge]
    ("slow_consumers = 1", "1: bridge.slow_consumers: is not a known key; did you mean 'slow_consumer'?"),
    ("colour = 1", "1: bridge.colour: is not a known key; there are contracts, accept, name, "),
    ("handshake = false", "1: bridge.handshake: is the node's: endpoint = "),
    ("[[bridge.access]]", "1: bridge.access: has no place here: rules are [[access]] tables"),
    (
        'slow_consumer = "dorp"',
        '1: bridge.slow_consumer: must be "drop", "disconnect" or "block", not \'dorp\' (',
    ),
    ("slow_consumer = 1", '1: bridge.slow_consumer: must be "drop", "disconnect" or "block", not 1'),
    ("accept = 1", "1: bridge.accept: must be a list of contracts files and schema digests, not 1"),
    ("accept = ['']", "1: bridge.accept: must be a list of contracts files and schema digests, not ['']"),
    ("accept = 'gone.yaml'", "1: bridge.accept: /"),
    ("accept = ['contracts.yaml', 't.toml']", "1: bridge.accept: /"),
    ("accept = '%s'" % (63 * "a"), "1: bridge.accept: /"),
    ("forward_unknown = 1", "1: bridge.forward_unknown: must be true or false, not 1"),
    ('use_poll = "yes"', "1: bridge.use_poll: must be true or false, not 'yes'"),
    ('name = ""', "1: bridge.name: must be text that is not empty, not ''"),
    (f'name = "{"ä" * 33}"', "1: bridge.name: must be at most 64 bytes of UTF-8, which"),
    ("stall_timeout = 0", "1: bridge.stall_timeout: must be from more than 0 to 31536000 seconds, not 0"),
    (
        "stall_timeout = true",
        "1: bridge.stall_timeout: must be a number of seconds, or text with ms, s, m or h",
    ),
    ("stall_timeout = inf", "1: bridge.stall_timeout: must be from more than 0"),
    ("stall_timeout = nan", "1: bridge.stall_timeout: must be from more than 0"),
    ('stall_timeout = "1 day"', "1: bridge.stall_timeout: must be a number of seconds, or text with ms"),
    ("close_timeout = -1", "1: bridge.close_timeout: must be from 0 to 31536000 seconds, not -1"),
    (
        'heartbeat = "nevre"',
        "1: bridge.heartbeat: must be a number of seconds, or text with ms, s, m or h such "
        'as "500ms", not \'nevre\' (or "never")',
    ),
    ('mode = "0778"', "1: bridge.mode: must be permission bits as octal text"),
    ('mode = "1777"', "1: bridge.mode: must be permission bits as octal text"),
    ("directory_mode = 0o770", "1: bridge.directory_mode: must be permission bits as octal text"),
    ("tls = 1", "1: bridge.tls: must be a table, not 1"),
    ("tls = {}", "1: bridge.tls: certificate is missing"),
    (
        'tls = { certificat = "x" }',
        "1: bridge.tls.certificat: is not a known key; did you mean 'certificate'?",
    ),
    ("limits = 1", "1: bridge.limits: must be a table, not 1"),
    (
        "[bridge.limits]\nmax_connections = 0",
        "2: bridge.limits.max_connections: must be a whole number from 1 to",
    ),
    (
        "limits.max_connection = 0",
        "1: bridge.limits.max_connection: is not a known key; did you mean 'max_co",
    ),
    ("limits.max_handshakes = 1.5", "1: bridge.limits.max_handshakes: must be a whole number from 1"),
    ('limits.handshake_timeout = "x"', "1: bridge.limits.handshake_timeout: must be a number of seconds"),
    ("limits.max_payload = 0", "1: bridge.limits.max_payload: must be from 1 to 1073741824 bytes, not 0"),
    (
        "limits.max_payload = 15",
        "1: bridge.limits.max_payload: messages up to 15 bytes are let through, and ",
    ),
    (
        "[bridge.buffers]\nmax_output = 1.5",
        "2: bridge.buffers.max_output: must be a number of bytes, or text",
    ),
    (
        'buffers.max_output = "16 MB"',
        "1: bridge.buffers.max_output: must be a number of bytes, or text with KiB, "
        'MiB or GiB such as "16 MiB", not \'16 MB\'; did you mean "16 MiB"?',
    ),
    ("buffers.read_size = 4095", "1: bridge.buffers.read_size: must be from 4096 to"),
    ("buffers.pool_blocks = -1", "1: bridge.buffers.pool_blocks: must be a whole number from 0"),
    ('buffers.socket_buffer = "none"', "1: bridge.buffers.socket_buffer: must be a number of bytes, or text"),
    ("admin = true", "1: bridge.admin: must be a table, not True"),
    (
        "[bridge.admin]\nport = 65536",
        "2: bridge.admin.port: must be a whole number from 0 to 65535, not 65536",
    ),
    ("admin.host = 1", "1: bridge.admin.host: must be text that is not empty, not 1"),
    ('[bridge.log]\nlevel = "warn"', "2: bridge.log.level: must be"),
    ('log.format = "yaml"', '1: bridge.log.format: must be "text" or "json", not \'yaml\''),
    # [bridge.nodes]
    ("nodes = 1", "1: bridge.nodes: must be a table, not 1"),
    (
        "[bridge.nodes.oen]",
        "1: bridge.nodes.oen: no node has this name (did you mean 'one'?); there are one, ",
    ),
    ("[bridge.nodes.two]\nmode = 1", "2: bridge.nodes.two.mode: must be permission bits"),
    ("[bridge.nodes.two.limits]\nmax = 1", "2: bridge.nodes.two.limits.max: is not a known key"),
    ("[bridge.nodes.two]\nnodes = {}", "2: bridge.nodes.two.nodes: is not a known key"),
    # [[bridge.listeners]]
    ("listeners = []", "1: bridge.listeners: is empty; leave it out"),
    (
        '[bridge.listeners]\nname = "x"',
        "1: bridge.listeners: must be a list of tables, not {'name': 'x'}; write [[",
    ),
    ("[[bridge.listeners]]\nunix = 'x'", "1: bridge.listeners[0]: name is missing"),
    (
        '[[bridge.listeners]]\nname = "a b"\nunix = "x"',
        "2: bridge.listeners[0].name: must be 1 to 64 letters",
    ),
    (listener(""), "1: bridge.listeners[0]: it says nowhere to listen; give it unix = "),
    (listener('unix = "x"\ntcp = "localhost:1"'), "1: bridge.listeners[0]: it has both unix and tcp"),
    (listener('unix = ""'), "3: bridge.listeners[0].unix: must be text that is not empty"),
    (listener('unix = "x"\ntls = {}'), "4: bridge.listeners[0].tls: TLS is for TCP alone"),
    (listener('unix = "x"\nmode = "9"'), "4: bridge.listeners[0].mode: must be permission bits"),
    (
        listener('tcp = "localhost:1"\nmode = "0600"'),
        "4: bridge.listeners[0].mode: is for Unix sockets alone",
    ),
    (
        listener('tcp = "localhost"'),
        "3: bridge.listeners[0].tcp: must be HOST:PORT with a port from 0 to 65535",
    ),
    (listener('tcp = "localhost:65536"'), "3: bridge.listeners[0].tcp: must be HOST:PORT"),
    (
        listener('tcp = "::1:5"'),
        "3: bridge.listeners[0].tcp: must be HOST:PORT with a port from 0 to 65535, not "
        "'::1:5'; an IPv6 address stands in brackets",
    ),
    (listener("tcp = 5"), "3: bridge.listeners[0].tcp: must be HOST:PORT"),
    (listener("prot = 5\nunix = 'x'"), "3: bridge.listeners[0].prot: is not a known key"),
    (
        listener('tcp = "localhost:1"\n[bridge.listeners.tls]\nkey = "x"'),
        "4: bridge.listeners[0].tls: certificate",
    ),
    (listener('tcp = "localhost:1"\ntls.certificate = "x"'), "4: bridge.listeners[0].tls: cannot use"),
    (
        listener('tcp = "localhost:1"') + listener('tcp = "localhost:2"'),
        "5: bridge.listeners[1].name: a second "
        "listener 'x', the first is bridge.listeners[0]; rename one of them",
    ),
    (
        listener('tcp = "Localhost:1"') + '[[bridge.listeners]]\nname = "y"\ntcp = "localhost:1"',
        "4: bridge.listeners[1]: listens where bridge.listeners[0] does",
    ),
    (
        listener('unix = "a/../b"') + '[[bridge.listeners]]\nname = "y"\nunix = "b"',
        "4: bridge.listeners[1]: listens where bridge.listeners[0] does",
    ),
    (listener(f'unix = "{"x" * 108}"'), "1: bridge.listeners[0]: "),
    (
        f"admin.port = 5\n{listener('tcp = ' + chr(34) + '127.0.0.1:5' + chr(34))}",
        "1: bridge.admin.port: bridge.listeners[0] listens there",
    ),
    # [[access]]
    ("[access]", "1: access: must be a list of tables, not {}; write [[access]] with two brackets"),
    (rule("identities = 1"), "2: access[0].identities: is not a known key; did you mean 'identity'?"),
    (
        rule("identity = []"),
        "2: access[0].identity: must be text or a list of texts, not []; leave the key out",
    ),
    (rule("identity = 1000"), "2: access[0].identity: must be text or a list of texts, not 1000"),
    (rule('identity = "pid:1"'), "2: access[0].identity: 'pid:1': the number of a process says nothing"),
    (rule('identity = "user:1"'), "2: access[0].identity: 'user:1' is no pattern of an identity"),
    (
        rule('identity = "servce:x"'),
        "2: access[0].identity: 'servce:x' is no pattern of an identity (did you mean "
        "'service'?); there are uid: (",
    ),
    (rule('identity = "*"'), "2: access[0].identity: '*' is no pattern of an identity; there are uid: ("),
    (rule('identity = "cn:"'), "2: access[0].identity: 'cn:': after cn: stands a value"),
    (rule('identity = "cn:[a]"'), "2: access[0].identity: 'cn:[a]': after cn: stands a value"),
    (
        rule('identity = "uid:root"'),
        "2: access[0].identity: 'uid:root': a uid is a number; 'root' is uid:0 here",
    ),
    (rule('identity = "gid:no-such-group"'), "2: access[0].identity: 'gid:no-such-group': a gid is a number"),
    (
        rule('identity = "worker:nobody"'),
        "2: access[0].identity: no worker is called 'nobody'; there are none",
    ),
    (
        rule('listener = "tpc"'),
        "2: access[0].listener: no listener is called 'tpc' (did you mean 'tcp'?); there are unix, tcp",
    ),
    (
        rule('listener = "tcp"\nnode = "one"'),
        "2: access[0].listener: no listener is called 'tcp'; there are unix",
    ),
    (
        rule('node = "oen"'),
        "2: access[0].node: no node is called 'oen' (did you mean 'one'?); there are one, two",
    ),
    (
        rule('identity = "cn:risk"'),
        "2: access[0].identity: 'cn:risk': no listener asks for certificates: give its tls the authorities",
    ),
    (
        rule('node = "two"'),
        "1: access: none of the rules is for the node 'one', whose bridge would let everybody",
    ),
    (rule("publish = [true]"), "2: access[0].publish: must be a list of message names, type ids and topics"),
    (
        rule('publish = "TradeTik"'),
        "2: access[0].publish: the contracts have no message 'TradeTik' (did you mean 'TradeTick'?)",
    ),
    (rule('publish = ["Trade*", "Xyz*"]'), "2: access[0].publish: the contracts have no message 'Xyz*'"),
    (
        rule('receive = "market-data"'),
        "2: access[0].receive: the contracts have no message 'market-data' (the topic "
        'is "topic:market-data")',
    ),
    (
        rule('receive = "topic:marketdata"'),
        "2: access[0].receive: the contracts have no topic 'marketdata' (did you "
        "mean 'market-data'?); there are ",
    ),
    (rule("receive = [1201, 49999]"), "2: access[0].receive: the contracts have no type 49999"),
    (rule("receive = [65536]"), "2: access[0].receive: 65536 is no type id: they go to 65535"),
    (rule("max_connections = 0"), "2: access[0].max_connections: must be a whole number from 1"),
    (rule("max_frames_per_s = 0"), "2: access[0].max_frames_per_s: must be a whole number from 1"),
    (rule('max_bytes_per_s = "fast"'), "2: access[0].max_bytes_per_s: must be a number of bytes"),
    (
        rule("") + rule('identity = "uid:1"'),
        "3: access[1]: is never looked at: access[0], before it, is for every",
    ),
    # [[workers]]
    ("[workers]", "1: workers: must be a list of tables, not {}; write [[workers]] with two brackets"),
    ('[[workers]]\ncommand = ["sh"]', "1: workers[0]: name is missing"),
    ('[[workers]]\nname = "x"', "1: workers[0]: command is missing"),
    (worker("", name="a*"), "2: workers[0].name: must be 1 to 64 letters, digits"),
    (worker("") + worker(""), "6: workers[1].name: a second worker 'w', the first is workers[0]; rename one"),
    (worker("comand = 1"), "4: workers[0].comand: is not a known key"),
    (
        worker("", command='"python3 -m x"'),
        "3: workers[0].command: must be a list of a program and its arguments, "
        "not 'python3 -m x'; write ['python3', '-m', 'x']",
    ),
    (
        worker("", command="[]"),
        "3: workers[0].command: must be a list of a program and its arguments, not []",
    ),
    (
        worker("", command='["no-such-program"]'),
        "3: workers[0].command: no program 'no-such-program' is found in ",
    ),
    (
        worker('environment = { PATH = "/nowhere" }'),
        "3: workers[0].command: no program 'sh' is found in PATH",
    ),
    (worker("", command='["./nowhere"]'), "3: workers[0].command: there is no program /"),
    (worker("", command='["./contracts.yaml"]'), "3: workers[0].command: /"),
    (worker("environment = 1"), "4: workers[0].environment: must be a table of variables, not 1"),
    (
        worker("environment = { N = 4 }"),
        '4: workers[0].environment: must have text for N, or false to remove it, not 4; write "4"',
    ),
    (worker('environment = { "A=B" = "" }'), "4: workers[0].environment: must have names of variables"),
    (
        worker('environment = { MYCELIUM_SOCKET = "x" }'),
        "4: workers[0].environment.MYCELIUM_SOCKET: is set by the",
    ),
    (worker('directory = "nowhere"'), "4: workers[0].directory: there is no directory /"),
    (
        worker('user = "rooot"'),
        "4: workers[0].user: there is no user 'rooot' on this machine (did you mean 'root'?)",
    ),
    (worker("user = -1"), "4: workers[0].user: must be a name or a number, not -1"),
    (worker("user = 54321"), "4: workers[0].user: there is no user 54321 here; name a group as well"),
    (
        worker('group = "no-such-group"'),
        "4: workers[0].group: there is no group 'no-such-group' on this machine",
    ),
    (
        worker('transport = "stdin"'),
        '4: workers[0].transport: must be "socket" or "stdio", not \'stdin\' (did you',
    ),
    (
        worker('restart = "on_failure"'),
        '4: workers[0].restart: must be "never", "on-failure" or "always", not ',
    ),
    (worker("backoff = 0"), "4: workers[0].backoff: must be from more than 0"),
    (worker("backoff = 60"), "4: workers[0].backoff: max_backoff (30 s) is below backoff (60 s)"),
    (worker("max_backoff = 0.1"), "4: workers[0].max_backoff: max_backoff (0.1 s) is below backoff (0.5 s)"),
    (worker("healthy_after = -1"), "4: workers[0].healthy_after: must be from 0"),
    (
        worker("max_restarts = -1"),
        '4: workers[0].max_restarts: must be a whole number from 0 to 1000000, not -1 (or "unlimited")',
    ),
    (worker("restart_window = 0"), "4: workers[0].restart_window: must be from more than 0"),
    (worker("ready_timeout = 0"), "4: workers[0].ready_timeout: must be from more than 0"),
    (worker('watchdog = "x"'), "4: workers[0].watchdog: must be a number of seconds"),
    (worker("grace = -1"), "4: workers[0].grace: must be from 0"),
    (worker('node = "three"'), "4: workers[0].node: no node is called 'three'; there are one, two"),
    (listener('tcp = "localhost:1"') + worker(""), "4: workers[0].transport: the bridge has no Unix socket"),
]
