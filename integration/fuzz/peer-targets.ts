/** Parsers of what peers, administrators and configuration files say. */
import assert from 'node:assert/strict';
import { Metadata } from '@grpc/grpc-js';
import { z } from 'zod';
import { dpConfigSchema } from '../../dp-agent/dp-config.ts';
import { authorityNameOf, siteOfAuthorityName } from '../../shared/domain/certificate-authority.ts';
import {
  encodeEnrollmentToken,
  parseEnrollmentToken,
} from '../../shared/domain/enrollment-token.ts';
import { WaybillError } from '../../shared/domain/errors.ts';
import { fromIdentityUri, toIdentityUri } from '../../shared/domain/peer-identity.ts';
import { replicatedTables } from '../../shared/domain/replicated-tables.ts';
import { identityOfSubjectAltName } from '../../shared/rpc/certificate-identity.ts';
import type { ConversationName } from '../../shared/rpc/conversation.ts';
import { fromErrorTrailers, toErrorTrailers } from '../../shared/rpc/error-detail.ts';
import { MessageWatch } from '../../shared/rpc/message-watch.ts';
import { methodDefinitions } from '../../shared/rpc/service-definitions.ts';
import { loadConfig } from '../../shared/runtime/load-config.ts';
import { isSiteIdentity, refusalOfIdentity } from '../../shared/site-identity/identity-check.ts';
import { UsageError } from '../../site-server/admin-cli/command-failure.ts';
import { parseLimit, parseSchedule } from '../../site-server/admin-cli/control-options.ts';
import { durationText, momentText } from '../../site-server/admin-cli/options.ts';
import { parseBytes, parseRate } from '../../site-server/admin-cli/rate-text.ts';
import { isKeyOf, parseTable } from '../../site-server/replication-manager/replicated-rows.ts';
import { parseRow, parseStatusMessage } from '../../site-server/replication-manager/row-schemas.ts';
import { siteConfigSchema } from '../../site-server/site-config.ts';
import {
  decodeSignedInstruction,
  encodePackageInstruction,
  encodeSignedInstruction,
  encodeTransferInstruction,
  parsePackageInstruction,
  parseTransferInstruction,
} from '../../site-server/site-identity/instructions.ts';
import type { FuzzTarget } from './fuzz-target.ts';
import { putInput } from './input-file.ts';
import { refusing } from './refusing.ts';
import { weekWords } from './week-words.ts';

const hash = 'ab'.repeat(32);

const texts = (...all: string[]) => all.map((text) => Buffer.from(text, 'utf8'));
const json = (...all: unknown[]) => texts(...all.map((one) => JSON.stringify(one)));

const transfer = encodeTransferInstruction({
  ...{ requestId: 'CS1-1', sendingSiteCode: 'CS1', destinationSiteCode: 'PS1', signedAtMs: 5 },
  ...{ nonce: hash, packageInstructionHash: hash },
});
const order = encodePackageInstruction({
  ...{ jobId: 'CS1-7', sourceSiteCode: 'CS1', finalSiteCode: 'PS1', packageId: 'CS100001' },
  ...{ sourceVersion: 2, baseVersion: 1, file: { fileHash: hash, fileBytes: 100 } },
  ...{ packageHash: hash, priority: 2, createdAtMs: 5, expiresAtMs: 6 },
} as never);

const identities = [
  'waybill://site/PS1',
  'waybill://dp/PS1DP1',
  'waybill://client/pc1.example.org',
  'waybill://admin/full/alice',
  'waybill://admin/operator/bob?site=PS1&site=SS1&group=Lab',
];

const identityRow = {
  ...{ siteCode: 'PS1', address: 'ps1:8530', agentVersion: '1.0', signedAtMs: 5 },
  signingKeys: [{ keyId: '0123456789abcdef', publicKey: 'AAAA', createdAtMs: 1, retiredAtMs: 0 }],
  ...{
    certificate: '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----',
    signature: 'AA',
  },
};
const hours = Array.from({ length: 168 }, () => 'open');
const rows: readonly { table: string; key: string; row: object }[] = [
  {
    table: 'sites',
    key: 'PS1',
    row: { siteCode: 'PS1', kind: 'primary', parentSiteCode: 'CS1', address: '', description: '' },
  },
  { table: 'site-identities', key: 'PS1', row: identityRow },
  {
    table: 'routes',
    key: 'CS1/PS1',
    row: {
      ...{ fromSiteCode: 'CS1', toSiteCode: 'PS1', addresses: ['ps1:8530'] },
      controls: { limit: { kind: 'rate', bytesPerSecond: 5_000_000 } },
    },
  },
  {
    table: 'hierarchy-distribution-points',
    key: 'PS1DP1',
    row: {
      ...{ dpId: 'PS1DP1', address: 'a:1', kind: 'pull', description: '', siteCode: 'PS1' },
      pull: { sources: [{ dpId: 'PS1DP2', rank: 1 }], allowFallback: true, packagesMax: 5 },
      controls: { schedule: { timeZone: 'Europe/Berlin', hours } },
    },
  },
  {
    table: 'package-definitions',
    key: 'PS100001',
    row: {
      ...{ packageId: 'PS100001', sourceSiteCode: 'PS1', directories: ['/a'] },
      properties: {
        ...{ name: 'A', version: '1', manufacturer: '', language: '', description: '' },
        ...{ priority: 2, programs: [{ name: 'x', commandLine: 'y' }], iconName: '' },
        iconBase64: '',
      },
    },
  },
  {
    table: 'site-contents',
    key: 'PS100001/PS1',
    row: {
      ...{ packageId: 'PS100001', siteCode: 'PS1', state: 'stored', storedVersion: 1 },
      ...{ storedHash: hash, reason: '', refusedJobId: '', needsFull: false, changedAtMs: 5 },
    },
  },
  {
    table: 'validation-results',
    key: 'PS100001/PS1/PS1DP1',
    row: {
      ...{ packageId: 'PS100001', siteCode: 'PS1', dpId: 'PS1DP1', sourceVersion: 1 },
      ...{ checkedAtMs: 5, fileCount: 1, damagedCount: 1, missingCount: 0, repairedCount: 0 },
      files: [{ path: 'a', fileHash: hash, finding: 'damaged' }],
    },
  },
  {
    table: 'links',
    key: 'wan',
    row: {
      ...{ linkName: 'wan', description: '', siteCode: 'PS1', dpIds: ['PS1DP1'] },
      ...{ toSiteCodes: [], controls: {} },
    },
  },
];
const statusMessage = {
  ...{ serial: 1, messageId: 2330, timeMs: 5, siteCode: 'PS1', insertionStrings: ['a'] },
  ...{ packageId: 'PS100001', sourceVersion: 1, dpId: '' },
};

const conversations: readonly ConversationName[] = [
  ...(['Admin', 'Content', 'DistributionPoint', 'ManagementPoint'] as const),
  ...(['Replication', 'SiteTransfer', 'Enrollment'] as const),
];
const methods = conversations.flatMap((one) => methodDefinitions(one).map(([, method]) => method));

function configTarget(name: string, schema: z.ZodType, text: string): FuzzTarget {
  return {
    name,
    form: 'text',
    words: ['dataDirectory: ', 'certificates:', '  caFile: ', 'listen: ', '- ', '? ', '!!binary '],
    seeds: () => texts(text),
    parse: async (input) => {
      const file = putInput(input);
      await refusing(['CONFIG_INVALID'], () =>
        loadConfig({ schema, file, environment: {}, environmentPrefix: 'X_', flags: {} }),
      );
    },
  };
}

const settingsSchema = z.strictObject({
  listen: z.string().default('a:1'),
  metrics: z.strictObject({ portCount: z.int().min(1).default(1) }).prefault({}),
  addresses: z.array(z.string()).default([]),
});

/** Environment and flags, a line each: `X_METRICS__PORT_COUNT=2`, `--metrics.portCount=2`. */
const settingsTarget: FuzzTarget = {
  name: 'settings',
  form: 'text',
  words: [
    'X_',
    '__',
    'METRICS',
    'PORT_COUNT',
    '--metrics.',
    '__proto__',
    '[a, b]',
    '{a: &a 1}',
    '*a',
  ],
  seeds: () =>
    texts('X_LISTEN=b:2\nX_METRICS__PORT_COUNT=2\nX_ADDRESSES=[a, b]\n--metrics.portCount=3'),
  parse: async (input) => {
    const lines = input.toString('utf8').split('\n');
    const [flags, environment] = [true, false].map((isFlag) => {
      const pairs = lines.filter((line) => line.startsWith('--') === isFlag);
      return Object.fromEntries(
        pairs.map((line) => {
          const [name = '', ...value] = line.replace(/^--/, '').split('=');
          return [name, value.join('=')];
        }),
      );
    }) as [Record<string, string>, Record<string, string>];
    const sources = { schema: settingsSchema, file: undefined, environmentPrefix: 'X_' };
    await refusing(['CONFIG_INVALID'], () => loadConfig({ ...sources, flags, environment }));
    assert.deepEqual(Object.keys(Object.prototype), []);
  },
};

const certificates = 'certificates:\n  caFile: /a\n  certificateFile: /b\n  keyFile: /c\n';

const token = encodeEnrollmentToken({
  ...{ tokenId: '0123456789abcdef', secret: Buffer.alloc(16, 1), rootKeyHash: Buffer.alloc(32, 2) },
});

export const peerTargets: readonly FuzzTarget[] = [
  {
    name: 'enrollment-token',
    form: 'text',
    words: ['wbt1_', token.slice(0, 20), token.slice(20)],
    seeds: () => texts(token),
    parse: (input) => {
      const text = input.toString('utf8');
      const read = parseEnrollmentToken(text);
      // One token, one spelling.
      if (read.token) assert.equal(encodeEnrollmentToken(read.token), text.trim());
    },
  },
  {
    name: 'instructions',
    form: 'protobuf',
    seeds: () => [
      transfer,
      order,
      encodeSignedInstruction({
        ...{ transfer, transferSignature: Buffer.alloc(64), transferKeyId: '0123456789abcdef' },
        ...{ package: order, packageSignature: Buffer.alloc(64) },
        packageKeyId: '0123456789abcdef',
      }),
    ],
    parse: async (input) => {
      await refusing(['MESSAGE_INVALID'], () => parseTransferInstruction(input));
      await refusing(['MESSAGE_INVALID'], () => parsePackageInstruction(input));
      await refusing(['MESSAGE_INVALID'], () => decodeSignedInstruction(input));
    },
  },
  {
    name: 'identity',
    form: 'text',
    words: ['waybill://', 'admin/', 'operator/', '?site=', '&group=', 'PS1', '//', '@'],
    seeds: () => texts(...identities),
    parse: (input) => {
      const uri = input.toString('utf8');
      const identity = fromIdentityUri(uri);
      // One identity, one spelling: else two names would be one peer.
      if (identity) assert.equal(toIdentityUri(identity), uri);
      const siteCode = siteOfAuthorityName(uri);
      if (siteCode !== undefined) assert.equal(authorityNameOf(siteCode), uri);
    },
  },
  {
    name: 'alternative-name',
    form: 'text',
    words: ['URI:', 'DNS:', ', ', '"', '\\"', 'othername:<unsupported>', 'waybill://site/PS1'],
    seeds: () => texts(...identities.map((uri) => `DNS:a.example, URI:${uri}, URI:"https://x, y"`)),
    parse: (input) => {
      const text = input.toString('utf8');
      const identity = identityOfSubjectAltName(text);
      if (identity) assert.ok(text.includes(`URI:${toIdentityUri(identity)}`));
    },
  },
  {
    name: 'error-detail',
    form: 'protobuf',
    seeds: () =>
      [
        new WaybillError({ code: 'PACKAGE_UNKNOWN', packageId: 'PS100001' }),
        new WaybillError({ code: 'DISK_FULL', path: '/a', freeBytes: 1, neededBytes: 2 }),
      ].map((error) => toErrorTrailers(error).get('waybill-error-bin')[0] as Buffer),
    parse: (input) => {
      const trailers = new Metadata();
      trailers.set('waybill-error-bin', input);
      const error = fromErrorTrailers(trailers);
      // biome-ignore lint/suspicious/noControlCharactersInRegex: that none of them gets through is the point
      if (error) assert.doesNotMatch(error.message, /[\u0000-\u001f\u202e]/);
    },
  },
  {
    name: 'replicated-row',
    form: 'json',
    words: Object.keys(replicatedTables),
    seeds: () => json(...rows),
    parse: (input) => {
      const given = parsedJson(input);
      const table = parseTable(textOf(given?.table));
      const key = textOf(given?.key);
      if (!table || !isKeyOf({ table, key })) return;
      const read = parseRow(table, key, JSON.stringify(given?.row) ?? '');
      if ('refusal' in read) return;
      assert.ok('value' in parseRow(table, key, JSON.stringify(read.value)));
      if (table === 'site-identities' && isSiteIdentity(read.value)) {
        const trust = { siteCode: 'PS1', authorities: [], nowMs: 5 };
        assert.notEqual(refusalOfIdentity(read.value, trust), undefined);
      }
    },
  },
  {
    name: 'status-message',
    form: 'json',
    seeds: () => json(statusMessage),
    parse: (input) => {
      const read = parseStatusMessage(input.toString('utf8'));
      if ('value' in read) assert.ok(read.value.insertionStrings.length <= 9);
    },
  },
  {
    name: 'week-rules',
    form: 'text',
    words: [...weekWords, '2MB/s', 'pulse', ','],
    seeds: () =>
      texts(
        'mon-fri 08-18 closed, sat-sun open, else high-only',
        'mon, wed 22-06 2MB/s, else none',
        'pulse 64KiB 100ms',
        '12.5 Mbit/s',
        '30m',
        '2026-03-14T09:00',
      ),
    parse: (input) => {
      const text = input.toString('utf8');
      for (const parse of [parseSchedule, parseLimit]) {
        try {
          parse(text, '--limit');
        } catch (error) {
          if (!(error instanceof UsageError)) throw error;
        }
      }
      const numbers = [parseRate(text), parseBytes(text), durationText.parse(text)];
      for (const number of [...numbers, momentText.parse(text)?.(5)]) {
        assert.ok(number === undefined || (Number.isFinite(number) && number >= 0), text);
      }
    },
  },
  {
    name: 'messages',
    form: 'protobuf',
    seeds: () => [transfer, order, ...methods.slice(0, 20).map((one) => one.requestSerialize({}))],
    parse: (input) => {
      for (const method of [methods[input.length % methods.length], methods[0]]) {
        try {
          method?.requestDeserialize(input);
        } catch (error) {
          // Whatever the decoder says, CallAnswerer turns into MESSAGE_INVALID.
          assert.ok(error instanceof Error);
        }
      }
    },
  },
  {
    name: 'message-frames',
    form: 'bytes',
    seeds: () => [Buffer.concat([Buffer.from([0, 0, 0, 0, 3, 1, 2, 3]), Buffer.alloc(5)])],
    parse: (input) => {
      const watch = new MessageWatch();
      for (let at = 0; at < input.length; at += 7) watch.take(input.subarray(at, at + 7));
      assert.ok(watch.begunBytes <= input.length && watch.messageCount <= input.length);
    },
  },
  settingsTarget,
  configTarget(
    'site-configuration',
    siteConfigSchema,
    `siteCode: PS1\nlisten: 127.0.0.1:0\ndataDirectory: /a\n${certificates}distribution:\n  lanesMax: 8\n`,
  ),
  configTarget(
    'dp-configuration',
    dpConfigSchema,
    `dpId: PS1DP1\nsiteCode: PS1\nlisten: 127.0.0.1:0\ndataDirectory: /a\n${certificates}`,
  ),
];

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function parsedJson(input: Buffer): { table?: unknown; key?: unknown; row?: unknown } | undefined {
  try {
    const value: unknown = JSON.parse(input.toString('utf8'));
    return typeof value === 'object' && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}
