/**
 * What a new machine is given to enroll with (docs/trust.md, 3): who holds it may become one identity,
 * once; and it knows by it which root to believe. Its secret is never logged, kept or shown again.
 */
export interface EnrollmentToken {
  /** 16 hex digits; names the token in lists and in the audit trail, and lets nobody in. */
  readonly tokenId: string;
  /** 16 random bytes. */
  readonly secret: Uint8Array;
  /** SHA-256 of the root certificate's public key info (SPKI, DER). */
  readonly rootKeyHash: Uint8Array;
}

const prefix = 'wbt1_';
const tokenIdBytes = 8;
/** Random bytes of a token's secret. */
export const enrollmentSecretBytes = 16;
const hashBytes = 32;
const checkedBytes = tokenIdBytes + enrollmentSecretBytes + hashBytes;
const checksumBytes = 4;
const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

/** Characters of a token: `wbt1_` and base64url of 60 bytes. */
export const enrollmentTokenChars = prefix.length + ((checkedBytes + checksumBytes) / 3) * 4;

/** Why a text is no token: nothing of it may be repeated, for it may be nearly one. */
export type TokenFault =
  /** It does not begin with wbt1_. */
  | 'no-token'
  /** It is cut, or longer, or has characters that a token never has. */
  | 'wrong-length'
  /** Its checksum does not fit: a character is not the one that was printed. */
  | 'mistyped';

/** What to say of each. */
export const tokenFaultWords: Readonly<Record<TokenFault, string>> = {
  'no-token': 'a text that does not begin with wbt1_',
  'wrong-length': 'a text of another length, or with other characters',
  mistyped: 'one with a character that is not as it was printed',
};

/** Whether a text is a token or why it is none; says nothing about whether a site knows it. */
export type ParsedToken =
  | { readonly token: EnrollmentToken; readonly fault?: undefined }
  | { readonly token?: undefined; readonly fault: TokenFault };

/** The text that is handed to the new machine. Throws for parts of a wrong length: a bug. */
export function encodeEnrollmentToken({ tokenId, secret, rootKeyHash }: EnrollmentToken): string {
  if (!isTokenId(tokenId)) throw new RangeError('A token ID has 16 hex digits');
  if (secret.length !== enrollmentSecretBytes || rootKeyHash.length !== hashBytes) {
    throw new RangeError('A token has a secret of 16 bytes and a hash of 32');
  }
  const bytes = new Uint8Array(checkedBytes + checksumBytes);
  bytes.set(fromHex(tokenId), 0);
  bytes.set(secret, tokenIdBytes);
  bytes.set(rootKeyHash, tokenIdBytes + enrollmentSecretBytes);
  new DataView(bytes.buffer).setUint32(checkedBytes, crc32(bytes.subarray(0, checkedBytes)));
  return prefix + toBase64Url(bytes);
}

/** Reads a token as somebody typed or pasted it; blanks around it do not matter. */
export function parseEnrollmentToken(text: string): ParsedToken {
  const trimmed = text.length > 4 * enrollmentTokenChars ? text : text.trim();
  if (!trimmed.startsWith(prefix)) return { fault: 'no-token' };
  const bytes = fromBase64Url(trimmed.slice(prefix.length));
  if (!bytes || bytes.length !== checkedBytes + checksumBytes) return { fault: 'wrong-length' };
  const checked = bytes.subarray(0, checkedBytes);
  if (new DataView(bytes.buffer).getUint32(checkedBytes) !== crc32(checked)) {
    return { fault: 'mistyped' };
  }
  const secretEnd = tokenIdBytes + enrollmentSecretBytes;
  return {
    token: {
      tokenId: toHex(bytes.subarray(0, tokenIdBytes)),
      secret: bytes.slice(tokenIdBytes, secretEnd),
      rootKeyHash: bytes.slice(secretEnd, checkedBytes),
    },
  };
}

/**
 * The text without tokens, or parts of some: for whatever repeats what somebody has typed. Parsers of command
 * lines write names once more without their dashes.
 */
export function withoutTokens(text: string): string {
  return text.replace(/wbt1[A-Za-z0-9_-]{2,}/gi, `${prefix}…`);
}

/** What to tell who has put a token into a command line. */
export const typedTokenAdvice =
  'a token goes to standard input, never into a command line, where others may see it: make a new one, which ends this one';

/** Whether a text can name a token. */
export function isTokenId(text: string): boolean {
  return /^[0-9a-f]{16}$/.test(text);
}

/** CRC-32 as in gzip and PNG: finds every change of up to 32 bits in a row, and keeps nobody out. */
function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return (crc ^ 0xffffffff) >>> 0;
}

/** Of a length that three divides: no padding. */
function toBase64Url(bytes: Uint8Array): string {
  let text = '';
  for (let at = 0; at < bytes.length; at += 3) {
    const group = (byteAt(bytes, at) << 16) | (byteAt(bytes, at + 1) << 8) | byteAt(bytes, at + 2);
    for (const shift of [18, 12, 6, 0]) text += alphabet[(group >>> shift) & 63];
  }
  return text;
}

/** Undefined for another length or character. */
function fromBase64Url(text: string): Uint8Array | undefined {
  if (text.length + prefix.length !== enrollmentTokenChars) return undefined;
  const bytes = new Uint8Array((text.length / 4) * 3);
  for (let at = 0; at < text.length; at += 4) {
    let group = 0;
    for (const character of text.slice(at, at + 4)) {
      const value = alphabet.indexOf(character);
      if (value < 0) return undefined;
      group = (group << 6) | value;
    }
    bytes.set([group >>> 16, (group >>> 8) & 255, group & 255], (at / 4) * 3);
  }
  return bytes;
}

function byteAt(bytes: Uint8Array, index: number): number {
  return bytes[index] ?? 0;
}

function toHex(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

function fromHex(text: string): number[] {
  return (text.match(/../g) ?? []).map((digits) => Number.parseInt(digits, 16));
}
