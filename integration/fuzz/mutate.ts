/** Changes inputs of parsers a little, so that they still get far: by bytes, words, JSON and protobuf. */
import type { SeededRandom } from '../../shared/testing/seeded-random.ts';

/** How the inputs of a target are built. */
export type InputForm = 'bytes' | 'text' | 'json' | 'protobuf';

/** Longest input that is made, in bytes. */
const inputBytesMax = 64 * 1024;

const oddNumbers = [
  ...[0, 1, -1, 127, 128, 255, 256, 65_535, 65_536, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32],
  ...[2 ** 53 - 1, 2 ** 53, 2 ** 63, 1e21, 1e308, 0.5, -0.0, 1e-7],
] as const;
const oddTexts = [
  ...['', ' ', '\0', '\n', '\r\n', '\t', '../', '/', '\\', '..', '.', '%00', '%2e%2e%2f', '~', '*'],
  ...['"', "'", '`', ',', ':', ';', '#', '?', '&', '=', '|', '<', '>', '{', '}', '[', ']', '!!js'],
  ...['\u202e', '\ufeff', '\u2028', 'e\u0301', '\u00e9', '\ud800', '\u{1f4e6}', 'NaN', 'Infinity'],
  ...['null', 'true', 'undefined', '__proto__', 'constructor', 'toString', '&a [*a, *a]', '-0'],
  ...['waybill://site/PS1', 'PS100001', 'PS1DP1', 'a'.repeat(300), '0'.repeat(64), 'f'.repeat(64)],
] as const;

/** One input made of the seeds of a target. */
export function mutated(
  random: SeededRandom,
  seeds: readonly Buffer[],
  { form, words = [] }: { form: InputForm; words?: readonly string[] },
): Buffer {
  let input = random.pick(seeds);
  for (let count = 1 + random.below(4); count > 0; count--) {
    input = changed(random, input, { form, words, other: random.pick(seeds) });
  }
  return input.subarray(0, inputBytesMax);
}

interface Change {
  readonly form: InputForm;
  readonly words: readonly string[];
  readonly other: Buffer;
}

function changed(random: SeededRandom, input: Buffer, change: Change): Buffer {
  const { form, words, other } = change;
  // Now and then what no maker of such inputs would do.
  if (form === 'bytes' || random.below(8) === 0) return changedBytes(random, input, other);
  if (form === 'protobuf') return changedFields(random, input, 0);
  if (form === 'json') return changedJson(random, input) ?? changedText(random, input, words);
  return changedText(random, input, words);
}

function changedBytes(random: SeededRandom, input: Buffer, other: Buffer): Buffer {
  const copy = Buffer.from(input);
  const at = random.below(input.length + 1);
  const to = Math.min(input.length, at + 1 + random.below(random.pick([4, 64, 1_024])));
  switch (random.below(8)) {
    case 0:
      if (copy.length > 0) flip(copy, random.below(copy.length), 1 << random.below(8));
      return copy;
    case 1:
      if (copy.length > 0) copy[random.below(copy.length)] = random.pick([0, 1, 127, 128, 255, 10]);
      return copy;
    case 2:
      return Buffer.concat([input.subarray(0, at), input.subarray(to)]);
    case 3:
      return Buffer.concat([
        input.subarray(0, at),
        random.bytes(random.below(20)),
        input.subarray(at),
      ]);
    case 4:
      return Buffer.concat([input.subarray(0, to), input.subarray(at)]);
    case 5:
      return Buffer.concat([input.subarray(0, at), other.subarray(random.below(other.length + 1))]);
    case 6:
      return input.subarray(0, at);
    default:
      return withNumber(random, copy);
  }
}

function flip(bytes: Buffer, position: number, bit: number): void {
  bytes[position] = (bytes[position] ?? 0) ^ bit;
}

/** A length or a count is now another one. */
function withNumber(random: SeededRandom, bytes: Buffer): Buffer {
  if (bytes.length < 8) return bytes;
  const position = random.below(bytes.length - 7);
  const value = BigInt(
    Math.trunc(Math.abs(random.pick(oddNumbers.filter((one) => one < 2 ** 63)))),
  );
  const width = random.pick([2, 4, 6, 8]);
  const encoded = Buffer.alloc(8);
  encoded.writeBigUInt64LE(value);
  const part = encoded.subarray(0, width);
  bytes.set(random.below(2) === 0 ? part : Uint8Array.from(part).reverse(), position);
  return bytes;
}

function changedText(random: SeededRandom, input: Buffer, words: readonly string[]): Buffer {
  const text = input.toString('utf8');
  const pieces = text.split(/([\s,:;/?&="'[\]{}()-]+)/);
  const at = random.below(pieces.length);
  const word = () => random.pick([...words, ...oddTexts, String(random.pick(oddNumbers))]);
  switch (random.below(5)) {
    case 0:
      pieces[at] = word();
      break;
    case 1:
      pieces.splice(at, 0, word());
      break;
    case 2:
      pieces.splice(at, 1 + random.below(4));
      break;
    case 3:
      pieces.splice(at, 0, ...pieces.slice(at, at + 1 + random.below(6)));
      break;
    default:
      pieces[at] = repeated(random, pieces[at] ?? '');
  }
  return Buffer.from(pieces.join(''), 'utf8');
}

function repeated(random: SeededRandom, text: string): string {
  return text.repeat(
    Math.min(random.pick([2, 10, 1_000]), 1 + Math.floor(20_000 / (text.length + 1))),
  );
}

type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

/** One value somewhere in a text of JSON is another one, missing, or there twice. */
function changedJson(random: SeededRandom, input: Buffer): Buffer | undefined {
  let value: Json;
  try {
    value = JSON.parse(input.toString('utf8')) as Json;
  } catch {
    return undefined;
  }
  return Buffer.from(JSON.stringify(changedValue(random, value)) ?? 'null', 'utf8');
}

function changedValue(random: SeededRandom, value: Json): Json {
  const isLeaf = value === null || typeof value !== 'object' || random.below(4) === 0;
  if (isLeaf) return oddValue(random, value);
  if (Array.isArray(value)) {
    const at = random.below(value.length + 1);
    const copy = [...value];
    if (at === value.length) return random.below(2) === 0 ? copy.slice(0, -1) : [...copy, ...copy];
    copy[at] = changedValue(random, value[at] ?? null);
    return copy;
  }
  const names = Object.keys(value);
  if (names.length === 0 || random.below(6) === 0) {
    return { ...value, [random.pick(oddTexts)]: random.pick(oddNumbers) };
  }
  const name = random.pick(names);
  const { [name]: own = null, ...others } = value;
  return random.below(6) === 0 ? others : { ...value, [name]: changedValue(random, own) };
}

function oddValue(random: SeededRandom, value: Json): Json {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  const others: Json[] = [
    ...[null, true, [], {}, [value], { value }, random.pick(oddNumbers), random.pick(oddTexts)],
    ...[text, `${text}${random.pick(oddTexts)}`, typeof value === 'number' ? -value : 0],
  ];
  return random.pick(others.map((one) => ({ one }))).one;
}

interface Field {
  readonly number: number;
  readonly wireType: number;
  readonly value: Buffer;
}

/** Fields of a message; undefined for bytes that are none. */
function fieldsOf(bytes: Buffer): Field[] | undefined {
  const fields: Field[] = [];
  for (let at = 0; at < bytes.length; ) {
    const tag = varintAt(bytes, at);
    if (!tag) return undefined;
    const [wireType, number] = [Number(tag.value & 7n), Number(tag.value >> 3n)];
    const end = endOfValue(bytes, tag.end, wireType);
    if (number === 0 || end === undefined || end > bytes.length) return undefined;
    const start = wireType === 2 ? (varintAt(bytes, tag.end)?.end ?? end) : tag.end;
    fields.push({ number, wireType, value: bytes.subarray(start, end) });
    at = end;
  }
  return fields;
}

function endOfValue(bytes: Buffer, start: number, wireType: number): number | undefined {
  const number = varintAt(bytes, start);
  if (wireType === 0) return number?.end;
  if (wireType === 1) return start + 8;
  if (wireType === 5) return start + 4;
  return wireType === 2 && number ? number.end + Number(number.value) : undefined;
}

function varintAt(bytes: Buffer, start: number): { value: bigint; end: number } | undefined {
  let value = 0n;
  for (let at = start; at < bytes.length && at < start + 10; at++) {
    const byte = bytes.readUInt8(at);
    value |= BigInt(byte & 127) << BigInt(7 * (at - start));
    if (byte < 128) return { value, end: at + 1 };
  }
  return undefined;
}

function varint(value: bigint): Buffer {
  const bytes: number[] = [];
  for (let rest = BigInt.asUintN(64, value); ; rest >>= 7n) {
    if (rest < 128n) return Buffer.from([...bytes, Number(rest)]);
    bytes.push(Number(rest & 127n) | 128);
  }
}

function encodeField({ number, wireType, value }: Field): Buffer {
  const tag = varint((BigInt(number) << 3n) | BigInt(wireType));
  return wireType === 2
    ? Buffer.concat([tag, varint(BigInt(value.length)), value])
    : Buffer.concat([tag, value]);
}

/** One field, here or in a message within, is another one, missing, or there again. */
function changedFields(random: SeededRandom, bytes: Buffer, depth: number): Buffer {
  const fields = fieldsOf(bytes);
  if (!fields || fields.length === 0) return changedBytes(random, bytes, bytes);
  const at = random.below(fields.length);
  const field = fields[at] as Field;
  switch (random.below(6)) {
    case 0:
      fields.splice(at, 1);
      break;
    case 1:
      fields.push(...Array<Field>(random.pick([1, 3, 100])).fill(field));
      break;
    case 2:
      fields.push({ number: random.pick([0, 1, 2, 15, 536_870_911]), wireType: 2, value: bytes });
      break;
    case 3:
      fields[at] = { ...field, wireType: random.below(6), number: 1 + random.below(20) };
      break;
    default:
      fields[at] = { ...field, value: changedFieldValue(random, field, depth) };
  }
  return Buffer.concat(fields.map(encodeField)).subarray(0, inputBytesMax);
}

function changedFieldValue(random: SeededRandom, field: Field, depth: number): Buffer {
  if (field.wireType === 0) {
    const whole = random.pick(oddNumbers.filter(Number.isSafeInteger));
    return varint(BigInt(whole));
  }
  const isMessage = depth < 4 && fieldsOf(field.value) !== undefined && random.below(3) > 0;
  if (isMessage) return changedFields(random, field.value, depth + 1);
  return random.below(3) === 0
    ? Buffer.from(random.pick(oddTexts), 'utf8')
    : changedBytes(random, field.value, field.value);
}
