/**
 * What operating system and TLS library say when there is no connection, and the sentence for it.
 * The text they say it in comes wrapped in gRPC's, so known words are looked for and nothing of the
 * text itself is passed on.
 */
const reasons: readonly (readonly [RegExp, string])[] = [
  [/ECONNREFUSED/, 'nothing listens there'],
  [/EHOSTUNREACH|ENETUNREACH|EHOSTDOWN/, 'there is no route to it'],
  [/ENOTFOUND|EAI_AGAIN|Name resolution failed/, 'its name cannot be resolved'],
  [/ETIMEDOUT/, 'it did not answer'],
  [/EACCES|EPERM/, 'this machine does not allow the connection'],
  [/certificate has expired/, 'its certificate has expired'],
  [/certificate is not yet valid/, 'its certificate is not valid yet'],
  [/alert certificate expired/, 'it says that our certificate has expired'],
  [/alert unknown ca/, 'it says that our certificate is not from its CA'],
  [
    /alert (bad|unsupported) certificate|alert certificate (unknown|revoked|required)/,
    'it refuses our certificate',
  ],
  [
    /wrong version number|unsupported protocol|protocol version|alert handshake/,
    'it does not speak TLS 1.3',
  ],
  [/ECONNRESET|EPIPE|socket hang up|disconnected before secure/, 'it closed the connection'],
  [/Failed to connect/, 'it closed the connection, as it does when it refuses our certificate'],
  [/Channel closed before/, 'it did not answer'],
  [
    /Connection dropped|closed|Call cancelled|RST_STREAM|No status information/,
    'the connection was lost',
  ],
];

/** Why there is no connection, in a sentence of our own. */
export function reasonOfLostConnection(details: string): string {
  return reasons.find(([pattern]) => pattern.test(details))?.[1] ?? 'there is no connection';
}

/**
 * Whether a stream ended without a gRPC status: gRPC's own words for a connection that died under
 * it. A server that fails always says so in a status.
 */
export function isCutOff(details: string): boolean {
  return /^Received RST_STREAM with code|^No status information received/.test(details);
}

/** Whether a handshake failed since the connection broke, and not for what either side has shown. */
export function isCutShort(details: string): boolean {
  return /ECONNRESET|EPIPE|ETIMEDOUT|socket hang up|disconnected before secure/.test(details);
}

const foreignCaPattern =
  /unable to (verify the first certificate|get (local )?issuer certificate)|self[- ]signed certificate|certificate signature failure/;

/** Whether a connection failed since the peer's certificate is not from our CA. */
export function isForeignCa(details: string): boolean {
  return foreignCaPattern.test(details);
}
