// What the names of reasons mean, in plain words. A test holds the names against
// those of the server.

/** Why a datagram, or one copy of it, went no further. */
export const DROPS = {
  unrecognised: "Not voice at all: scanners and strays on the open port. Harmless unless it floods.",
  keepalive: "A keepalive of a client. Expected.",
  malformed: "The header contradicts the length: a broken client, or somebody probing.",
  too_large: "Larger than any Opus frame can be.",
  unknown_ssrc: "The stream belongs to nobody here: packets that were on the way when a call or the server ended. At a member: its client writes a wrong SSRC.",
  no_key: "Audio before the handshake was done. A few at each join are normal.",
  unauthentic: "Could not be decrypted: a wrong key, or a forgery.",
  replayed: "Seen before: duplicated by the network, or replayed on purpose.",
  too_old: "Too late to tell whether it was seen before.",
  muted: "The speaker is muted or suppressed, or has muted themselves. Expected.",
  payload_type: "Not audio. Only audio is passed on.",
  rtcp: "A report between client and server, which is never passed on. Expected.",
  rate_limited: "More packets or bits than one speaker may send.",
  discovery_limited: "A client asks for its address too often.",
  discovery_bound: "A client asks for its address again, from another place.",
  ping: "A ping from somebody unknown, or too many pings.",
  forbidden_address: "The sender has an address that nothing may be sent to.",
  foreign_address: "The UDP address differs from that of the gateway connection (media.foreign_udp).",
  over_bitrate: "More than twice the channel's bitrate (media.enforce_bitrate).",
  key_exhausted: "The listener's key is used up. The session is renewed.",
  not_handed_over: "Another relay of a large channel had no room for it: overload.",
  room_gone: "The channel ended a moment ago.",
  unfilled: "The server did not get around to sending it.",
  socket_full: "The operating system refused to send it: the network card or the send buffer is full.",
  behind: "More arrived than the relay can handle: overload.",
  too_late: "Older than the latency budget (limits.media_latency_ms): overload, or the machine was paused.",
  nonce_collision: "A client's nonces met the server's. The session is renewed.",
};

/** Drops that are no loss of anybody's voice. */
export const EXPECTED = ["keepalive", "rtcp", "muted", "unrecognised", "discovery_limited", "discovery_bound", "ping"];

/** What became of attempts to resume after a lost connection. */
export const RESUMES = {
  resumed: "Clients resumed",
  refused: "Resumes refused",
  expired: "Sessions expired",
  control_resumed: "Chat servers resumed",
};

/** Why a TCP connection ended. */
export const CLOSES = {
  peer_closed: "The other side left. Normal.",
  shutting_down: "The server is stopping. Clients connect to the next one.",
  handshake_timeout: "No TLS or upgrade in time: scanners, health checks, or a proxy that does not pass it on.",
  untrusted_proxy: "A PROXY header from an address that is not in gateway.trusted_proxies.",
  bad_proxy_header: "A trusted proxy sent no PROXY header, or a broken one. Check the proxy's settings.",
  proxy_header_too_big: "A PROXY header larger than allowed.",
  tls_failed: "The TLS handshake failed: the client does not trust the certificate, or expects another name.",
  not_tls: "No TLS on the TLS port: an http:// or ws:// address, or a proxy that does not speak TLS.",
  handshake_too_big: "The TLS handshake is larger than allowed.",
  head_too_big: "An HTTP request larger than allowed.",
  head_too_long: "An HTTP request with too many lines.",
  bad_upgrade: "An HTTP request that is not a WebSocket upgrade: browsers, scanners, health checks.",
  websocket_protocol: "A rule of the WebSocket protocol was broken.",
  message_too_big: "A message larger than allowed.",
  identify_timeout: "Connected, but never said who it is.",
  silence: "No heartbeat for too long: the network or the client is gone.",
  slow_reader: "The client does not read what it is sent.",
  decode: "A message that is not valid JSON of the protocol.",
  too_deep: "JSON nested deeper than allowed.",
  bad_request: "A message with a missing or unusable field.",
  not_authenticated: "A message that is allowed only after Identify.",
  authentication_failed: "Wrong token, session, user or secret. From a chat server: check control.secret.",
  already_authenticated: "A second Identify.",
  session_invalid: "This session cannot be resumed, or a newer connection took it over. Normal after a restart.",
  unknown_protocol: "The client wants WebRTC or another transport that is not served.",
  unknown_mode: "The client chose an encryption mode that was not offered (media.legacy_modes).",
  select_limited: "Select Protocol too many times.",
  rate_limited: "Too many messages.",
  disconnected: "The chat server removed or moved this user. Normal.",
  channel_destroyed: "The channel is gone. Normal.",
  renew: "The session is set up again under another key. Normal.",
  control_replaced: "The same chat server connected again. If this repeats, two of them share one secret.",
  control_general: "A chat server sent something that is not allowed at that point.",
  overloaded: "A limit was reached. The log names it.",
};
