/** Parsers of what sites and DPs tell each other: rows, ranges and units, schedules, names. */
import assert from 'node:assert/strict';
import { fromStandingMessage } from '../../shared/certificate-keeper/standing-message.ts';
import { fromFetchResponse } from '../../shared/content-download/content-messages.ts';
import { SourceHoldings } from '../../shared/content-download/source-holdings.ts';
import type { PlannedUnit } from '../../shared/content-download/unit-plan.ts';
import { requireItem } from '../../shared/content-server/fetch-requests.ts';
import { parseSettingName, parseSettingValue } from '../../shared/domain/component-settings.ts';
import { parseContentId, parseHash, pieceBytes } from '../../shared/domain/content.ts';
import { parseAddress, parseDistributionPointId } from '../../shared/domain/distribution-point.ts';
import { HourOfWeek, isTimeZone } from '../../shared/domain/hour-of-week.ts';
import { parseObjectName } from '../../shared/domain/object-name.ts';
import { parsePackageId } from '../../shared/domain/package.ts';
import { PieceSet } from '../../shared/domain/piece-set.ts';
import { parseHolder } from '../../shared/domain/revocation.ts';
import { parseSiteCode, type SiteDefinition } from '../../shared/domain/site.ts';
import { SiteTree } from '../../shared/domain/site-tree.ts';
import { parseStatusMessageId } from '../../shared/domain/status-message.ts';
import {
  decodeAnswer,
  decodeRequest,
  encodeAnswer,
  encodeMessage,
} from '../../shared/rpc/service-definitions.ts';
import {
  toTransferControls,
  toTransferControlsMessage,
} from '../../shared/transfer-arbiter/transfer-controls-message.ts';
import {
  nearnessTo,
  parseClientNetwork,
} from '../../site-server/management-point/source-nearness.ts';
import { WantedEntries } from '../../site-server/package-transfer-manager/wanted-entries.ts';
import {
  checkedChanges,
  checkedMessages,
} from '../../site-server/replication-manager/change-check.ts';
import {
  checkedChildHello,
  checkedParentHello,
} from '../../site-server/replication-manager/hello.ts';
import { decoded } from './decoded.ts';
import type { FuzzTarget } from './fuzz-target.ts';
import { refusing } from './refusing.ts';

const hash = 'ab'.repeat(32);
const hours = Array.from({ length: 168 }, (_, hour) =>
  hour % 7 === 0 ? 'closed' : 'open',
) as never;

const site = { siteCode: 'PS1', kind: 'primary', parentSiteCode: 'CS1' } as const;
const sites = [
  { siteCode: 'CS1', kind: 'central-administration', parentSiteCode: '' },
  site,
  { siteCode: 'SS1', kind: 'secondary', parentSiteCode: 'PS1' },
].map((one) => ({ ...one, address: '', description: '' }) as SiteDefinition);
const directory = {
  own: { siteCode: 'PS1', kind: 'primary', parent: { siteCode: 'CS1', address: 'cs1:8530' } },
  tree: new SiteTree(sites),
} as never;

const changedAt = { wallMs: 5, counter: 1, siteCode: 'CS1' };
const value = JSON.stringify({ ...site, address: '', description: '' });
const replicationSeeds = () => [
  encodeMessage('Replication', 'synchronise', {
    changes: {
      ...{ originSiteCode: 'CS1', after: 0, through: 9, fullCopy: false, fullCopyEnds: false },
      rows: [
        { table: 'sites', key: 'PS1', value, deleted: false, changedAt, sequence: 1 },
        { table: 'sites', key: 'PS2', value: '', deleted: true, changedAt, sequence: 3 },
      ],
    },
  }),
  encodeMessage('Replication', 'synchronise', {
    messages: {
      ...{ originSiteCode: 'PS1', after: 0, through: 4 },
      messages: [
        JSON.stringify({
          ...{ serial: 1, messageId: 2330, timeMs: 5, siteCode: 'PS1', insertionStrings: ['a'] },
          ...{ packageId: 'PS100001', sourceVersion: 1, dpId: '' },
        }),
      ],
    },
  }),
  encodeMessage('Replication', 'synchronise', {
    hello: {
      ...{ siteCode: 'SS1', kind: 'SITE_KIND_SECONDARY', parentSiteCode: 'PS1', layout: 1 },
      ...{ cursors: [{ originSiteCode: 'CS1', sequence: 4, messageSerial: 2 }], nowMs: 5 },
    },
  }),
];

/** A piece of a large file, and small files. */
const units: readonly (readonly PlannedUnit[])[] = [
  [{ file: { hash, sizeBytes: pieceBytes + 5, firstUnit: 0 }, pieceIndex: 1 }],
  [3, 4].map((sizeBytes, at) => ({
    ...{ file: { hash: `0${at}`.repeat(32), sizeBytes, firstUnit: at }, pieceIndex: 0 },
  })),
];
const bytesOf = (text: string) => Buffer.from(text, 'hex');

const nameParsers = [
  ...[parseAddress, parseContentId, parseDistributionPointId, parseHash, parseHolder],
  ...[parseObjectName, parsePackageId, parseSettingName, parseSiteCode],
] as const;

export const wireTargets: readonly FuzzTarget[] = [
  {
    name: 'change-batches',
    form: 'protobuf',
    seeds: replicationSeeds,
    parse: async (input) => {
      const said = decoded(() => decodeRequest('Replication', 'synchronise', input));
      if (!said) return;
      const { changes, messages, hello } = said;
      const codes = [
        ...['MESSAGE_INVALID', 'REPLICATION_ROW_REFUSED', 'CLOCK_AHEAD', 'SITE_UNKNOWN'],
        ...['PEER_IDENTITY_MISMATCH', 'SITE_PARENT_MISMATCH', 'REPLICATION_LAYOUT'],
      ];
      const needs = { clock: { aheadMs: ({ wallMs }: { wallMs: number }) => wallMs - 1e6 } };
      await refusing(codes, () => {
        if (!changes) return;
        const read = checkedChanges(changes, { ...needs, clockAheadMsMax: 1_000, checks: {} });
        for (const { version } of read.rows) {
          assert.ok(version.sequence > read.after && version.sequence <= read.through);
          assert.equal(version.changedAt.siteCode, read.origin);
        }
      });
      await refusing(codes, () => {
        if (!messages) return;
        const { origin, messages: read } = checkedMessages(messages);
        assert.ok(read.every(({ siteCode }) => siteCode === origin));
      });
      await refusing(codes, () => hello && checkedChildHello(hello, 'SS1', directory));
      await refusing(codes, () => hello && checkedParentHello(hello, directory));
    },
  },
  {
    name: 'fetched-units',
    form: 'protobuf',
    seeds: () => [
      encodeAnswer('Content', 'fetch', {
        piece: { fileHash: bytesOf(hash), pieceIndex: 1, data: Buffer.alloc(5) },
      }),
      encodeAnswer('Content', 'fetch', {
        files: {
          files: [
            { fileHash: bytesOf('00'.repeat(32)), data: Buffer.alloc(3) },
            { fileHash: bytesOf('01'.repeat(32)), data: Buffer.alloc(4) },
          ],
        },
      }),
    ],
    parse: async (input) => {
      const answer = decoded(() => decodeAnswer('Content', 'fetch', input));
      if (!answer) return;
      for (const asked of units) {
        await refusing(['MESSAGE_INVALID'], () => {
          const { indices, contents } = fromFetchResponse(asked, answer);
          assert.equal(indices.length, contents.length);
          assert.ok(indices.every((index) => asked[index] !== undefined));
        });
      }
    },
  },
  {
    name: 'asked-units',
    form: 'protobuf',
    seeds: () => [
      encodeMessage('Content', 'fetch', {
        piece: { fileHash: bytesOf(hash), fileBytes: 5_000_000, pieceIndex: 2 },
      }),
      encodeMessage('Content', 'fetch', {
        files: { files: [{ fileHash: bytesOf(hash), fileBytes: 7 }] },
      }),
    ],
    parse: (input) => {
      const request = decoded(() => decodeRequest('Content', 'fetch', input));
      if (!request) return;
      return refusing(['MESSAGE_INVALID'], () => {
        const { sizeBytes } = requireItem(request);
        assert.ok(sizeBytes >= 0 && sizeBytes <= pieceBytes);
      });
    },
  },
  {
    name: 'held-ranges',
    form: 'protobuf',
    seeds: () => [
      encodeAnswer('Content', 'watchHoldings', { firstUnit: 8, units: Buffer.of(1, 2, 3) }),
      encodeAnswer('Content', 'watchHoldings', { complete: true }),
    ],
    parse: async (input) => {
      const said = decoded(() => decodeAnswer('Content', 'watchHoldings', input));
      if (!said) return;
      const held = new SourceHoldings(100);
      await refusing(['MESSAGE_INVALID'], () => {
        const { firstUnit, endUnit } = held.apply(said);
        assert.ok(firstUnit >= 0 && firstUnit <= endUnit && endUnit <= 104);
      });
      const set = new PieceSet(40, said.units);
      assert.deepEqual(new PieceSet(40, set.toBytes()).heldCount, set.heldCount);
      const wanted = new WantedEntries({ entryCount: 20, sizeBytes: 1_000 });
      await refusing(['MESSAGE_INVALID'], () => {
        for (const byte of input.subarray(0, 30)) wanted.add(byte, said.units);
      });
      assert.ok(wanted.count <= 20);
    },
  },
  {
    name: 'schedules',
    form: 'protobuf',
    words: ['Europe/Berlin', 'UTC'],
    seeds: () => [
      encodeMessage('DistributionPoint', 'setControls', {
        fetching: toTransferControlsMessage({
          schedule: { timeZone: 'Europe/Berlin', hours },
          limit: { kind: 'rate', bytesPerSecond: 5_000_000 },
        }),
        serving: toTransferControlsMessage({
          schedule: { timeZone: 'America/St_Johns', hours },
        }),
      }),
    ],
    parse: async (input) => {
      const said = decoded(() => decodeRequest('DistributionPoint', 'setControls', input));
      if (!said) return;
      for (const controls of [said.fetching, said.serving]) {
        await refusing(['REQUEST_INVALID'], () => {
          const read = controls && toTransferControls(controls, 'controls');
          if (!read?.schedule) return;
          const hour = new HourOfWeek(read.schedule.timeZone).at(1_000_000_000_000);
          assert.ok(hour >= 0 && hour < 168 && read.schedule.hours.length === 168);
        });
      }
    },
  },
  {
    name: 'time-zones',
    form: 'text',
    words: ['Europe/', 'UTC', 'GMT', '+01:00', '/', 'Etc/', '_'],
    seeds: () =>
      ['Europe/Berlin', 'America/Argentina/Buenos_Aires', 'UTC', '+05:30'].map((one) =>
        Buffer.from(one),
      ),
    parse: (input) => {
      const name = input.toString('utf8');
      if (!isTimeZone(name)) return;
      const hour = new HourOfWeek(name).at(1_700_000_000_000);
      assert.ok(hour >= 0 && hour < 168, name);
    },
  },
  {
    name: 'certificate-standing',
    form: 'protobuf',
    seeds: () => [
      encodeAnswer('DistributionPoint', 'check', {
        certificate: {
          ...{ notBeforeMs: 5, notAfterMs: 6, state: 'CERTIFICATE_STATE_VALID', reason: '' },
          ...{ issuerSiteCode: 'PS1', rootKeyId: Buffer.alloc(32, 1) },
        },
      }),
    ],
    parse: (input) => {
      const said = decoded(() => decodeAnswer('DistributionPoint', 'check', input));
      const read = fromStandingMessage(said?.certificate);
      if (!read) return;
      assert.ok(read.reason.length <= 600 && read.notAfterMs <= 8.64e15);
      new Date(read.notAfterMs).toISOString();
    },
  },
  {
    name: 'names',
    form: 'text',
    words: ['PS1', 'dp/', 'admin/', 'site/', ':8530', '[::1]', '10.0.0.0', '/24', '30s', hash],
    seeds: () =>
      [
        ...['PS1', 'PS1DP1', 'PS100001', 'PS100001.2', hash, 'ps1.example:8530', '[::1]:8531'],
        ...['dp/PS1DP1', 'admin/bob', 'Lab 3', 'sends-at-once', '2330', '192.0.2.7/24', '30s'],
        ...['fe80::1/64', '::ffff:10.0.0.1/104'],
      ].map((one) => Buffer.from(one)),
    parse: (input) => {
      const text = input.toString('utf8');
      for (const parse of nameParsers) {
        const read = parse(text);
        assert.ok(read === undefined || read === text, `${parse.name} ${text}`);
      }
      parseStatusMessageId(Number(text));
      const value = parseSettingValue('job-retry-first-delay', text);
      assert.ok(value === undefined || Number.isSafeInteger(value));
      const network = parseClientNetwork(text);
      if (!network) return;
      const nearness = nearnessTo({ networks: [network], callerAddress: '10.0.0.1:5' });
      assert.ok(nearness(`${network.address}:8531`) !== undefined);
    },
  },
];
