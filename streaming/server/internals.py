"""The private parts of Daphne, autobahn and Twisted that we use. A new version may change them.

Their documented interfaces are not listed: Twisted's transports, producers and reactor calls,
autobahn's `sendData` and hooks that its documentation names. A test compares this table with the
installed versions and with our code, so that an update which moves something fails there.
"""

from __future__ import annotations

from typing import NamedTuple


class Internal(NamedTuple):
    """owner: `module:Class`, or `module` for a name of a module. use: what we do with it."""

    owner: str
    name: str
    use: str


_DAPHNE_SERVER = "daphne.server:Server"
_DAPHNE_REQUEST = "daphne.http_protocol:WebRequest"
_DAPHNE_FACTORY = "daphne.http_protocol:HTTPFactory"
_DAPHNE_WEBSOCKET = "daphne.ws_protocol:WebSocketProtocol"
_AUTOBAHN = "autobahn.websocket.protocol:WebSocketProtocol"
_AUTOBAHN_SERVER = "autobahn.websocket.protocol:WebSocketServerProtocol"
_ADAPTER = "autobahn.twisted.websocket:WebSocketAdapterProtocol"
_CHANNEL = "twisted.web.http:HTTPChannel"
_REQUEST = "twisted.web.http:Request"

INTERNALS = (
    # Daphne's server: what there is of it, and what we replace.
    Internal(_DAPHNE_SERVER, "connections", "its table, which we keep ourselves"),
    Internal(_DAPHNE_SERVER, "http_factory", "set in our start()"),
    Internal(_DAPHNE_SERVER, "ws_factory", "set in our start(), read by its requests"),
    Internal(_DAPHNE_SERVER, "application", "called in our create_application()"),
    Internal(_DAPHNE_SERVER, "application_close_timeout", "until an application is cancelled"),
    Internal(_DAPHNE_SERVER, "ping_interval", "until a silent client is asked"),
    Internal(_DAPHNE_SERVER, "websocket_connect_timeout", "until a handshake is refused"),
    Internal(_DAPHNE_SERVER, "server_name", "left empty"),
    Internal(_DAPHNE_SERVER, "create_application", "replaced: bounded inboxes, waiting send"),
    Internal(_DAPHNE_SERVER, "protocol_disconnected", "replaced: no sweep for ends"),
    Internal(_DAPHNE_SERVER, "application_checker", "replaced by nothing: each end is reported"),
    Internal(_DAPHNE_SERVER, "timeout_checker", "replaced: some connections at a time"),
    Internal(_DAPHNE_SERVER, "kill_all_applications", "replaced: waits for what it cancels"),
    Internal(_DAPHNE_SERVER, "handle_reply", "awaited by our requests' send"),
    Internal(_DAPHNE_SERVER, "stop", "ends the reactor"),
    # Daphne's requests and sockets.
    Internal(_DAPHNE_FACTORY, "buildProtocol", "wrapped: our request class"),
    Internal(_DAPHNE_REQUEST, "process", "called when the headers of a streamed body are there"),
    Internal(_DAPHNE_REQUEST, "application_queue", "says whether an application has started"),
    Internal(_DAPHNE_REQUEST, "send_disconnect", "called after a body that grew too large"),
    Internal(_DAPHNE_REQUEST, "handle_exception", "called when an application fails"),
    Internal(_DAPHNE_REQUEST, "server", "our server"),
    Internal(_DAPHNE_REQUEST, "finish", "extended: our producer"),
    Internal(_DAPHNE_REQUEST, "connectionLost", "extended: our producer"),
    Internal(_DAPHNE_WEBSOCKET, "handle_reply", "extended: reasons, answers to the handshake"),
    Internal(_DAPHNE_WEBSOCKET, "serverClose", "replaced: any code, with a reason"),
    Internal(_DAPHNE_WEBSOCKET, "check_timeouts", "replaced: another clock"),
    Internal(_DAPHNE_WEBSOCKET, "serverReject", "called when the application does not answer"),
    Internal(_DAPHNE_WEBSOCKET, "onConnect", "extended: what comes too early waits"),
    Internal(_DAPHNE_WEBSOCKET, "onMessage", "replaced: without a log line a message"),
    Internal(_DAPHNE_WEBSOCKET, "onOpen", "extended: frees what autobahn keeps for its tests"),
    Internal(_DAPHNE_WEBSOCKET, "muted", "read as its onMessage does"),
    Internal(_DAPHNE_WEBSOCKET, "application_queue", "where messages go"),
    Internal(_DAPHNE_WEBSOCKET, "server", "our server"),
    Internal(_DAPHNE_WEBSOCKET, "handle_exception", "called when an application fails"),
    # autobahn's parser and states.
    Internal("autobahn.websocket.protocol", "pformat", "replaced by repr: a seventh of connecting"),
    Internal(_AUTOBAHN, "state", "whether a frame may be sent, or taken by ourselves"),
    Internal(_AUTOBAHN, "data", "whether bytes wait in its buffer; what came early is put there"),
    Internal(_AUTOBAHN, "current_frame", "whether it is within a frame; the header of that"),
    Internal(_AUTOBAHN, "inside_message", "whether it is within a message"),
    Internal(_AUTOBAHN, "onFrameBegin", "extended: frames are counted"),
    Internal(_AUTOBAHN, "_dataReceived", "called past the adapter, which logs every call"),
    Internal(_AUTOBAHN, "_fail_connection", "called when a client sends too much"),
    Internal(_AUTOBAHN, "CLOSE_STATUS_CODE_MESSAGE_TOO_BIG", "1009"),
    Internal(_AUTOBAHN, "sendData", "replaced: straight to the socket; waits are known"),
    Internal(_AUTOBAHN, "sendCloseFrame", "called: its sendClose refuses 1012"),
    Internal(_AUTOBAHN, "dropConnection", "called after an answer to the handshake"),
    Internal(_AUTOBAHN, "wasNotCleanReason", "said before that"),
    Internal(_AUTOBAHN, "autoPingTimeoutCall", "whether a pong is waited for"),
    Internal(_AUTOBAHN, "_sendAutoPing", "called when nothing was heard for a while"),
    Internal(_AUTOBAHN, "_cancelAutoPingTimeoutCall", "called when a message came instead"),
    Internal(_AUTOBAHN_SERVER, "http_request_data", "freed: 2 kB a connection"),
    Internal(_AUTOBAHN_SERVER, "http_response_data", "freed"),
    Internal(_AUTOBAHN_SERVER, "http_headers", "freed"),
    Internal(_ADAPTER, "_closeConnection", "extended: our producer"),
    Internal(_ADAPTER, "connectionMade", "extended: our producer, kernel buffers"),
    Internal(_ADAPTER, "dataReceived", "replaced: simple frames are taken by ourselves"),
    # Twisted's HTTP.
    Internal(_CHANNEL, "resetTimeout", "replaced by nothing: deadlines do not move"),
    Internal(_CHANNEL, "timeoutConnection", "extended: 408, and the slow but steady go on"),
    Internal(_CHANNEL, "abortTimeout", "set"),
    Internal(_CHANNEL, "dataReceived", "extended: deadlines; what follows a refusal"),
    Internal(_CHANNEL, "rawDataReceived", "extended: what follows a refusal, or a handshake"),
    Internal(_CHANNEL, "allHeadersReceived", "extended: the body's limit"),
    Internal(_CHANNEL, "allContentReceived", "extended: the body's end"),
    Internal(_CHANNEL, "requestDone", "extended: idle time; answers before the body's end"),
    Internal(_CHANNEL, "_send100Continue", "extended: streamed bodies are asked for later"),
    Internal(_CHANNEL, "_command", "the method, when the headers are there"),
    Internal(_CHANNEL, "_path", "the path, when the headers are there"),
    Internal(_CHANNEL, "_version", "handed on when the headers are there"),
    Internal(_CHANNEL, "_networkProducer", "the transport's reading and writing"),
    Internal(_CHANNEL, "_savedTimeOut", "the deadline after an answer"),
    Internal(_CHANNEL, "_dataBuffer", "emptied when what follows is no request"),
    Internal(_CHANNEL, "requests", "the request that is being read"),
    Internal(_CHANNEL, "length", "of the body, None if it is chunked"),
    Internal(_REQUEST, "gotLength", "extended: no file for a streamed body"),
    Internal(_REQUEST, "handleContentChunk", "extended: the body's limit"),
    Internal(_REQUEST, "requestReceived", "replaced for streamed bodies"),
    Internal(_REQUEST, "_disconnected", "whether there is somebody to wait for"),
    Internal(_REQUEST, "startedWriting", "whether an answer has begun"),
    Internal(_REQUEST, "finished", "whether an answer has ended"),
    Internal("twisted.internet.asyncioreactor:AsyncioSelectorReactor", "_asyncioEventloop", "run"),
    Internal("twisted.internet.asyncioreactor:AsyncioSelectorReactor", "seconds", "replaced"),
)
