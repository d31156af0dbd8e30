/** Parsers of what administrators' programs ask, of what they and clients are answered, and of what is typed. */
import assert from 'node:assert/strict';
import { ChainCheck } from '../../shared/audit-chain/chain-check.ts';
import { hashOf } from '../../shared/content-library/content-hash.ts';
import type { PackageProperties } from '../../shared/domain/package.ts';
import { decodeBundle, encodeBundle } from '../../shared/package-info/package-info-bundle.ts';
import type { MethodName, ReceivedRequestOf } from '../../shared/rpc/conversation.ts';
import type { PackageProperties as WireProperties } from '../../shared/rpc/generated/waybill/v1/PackageProperties.ts';
import {
  decodeAnswer,
  decodeRequest,
  encodeAnswer,
  encodeMessage,
} from '../../shared/rpc/service-definitions.ts';
import { toVersion } from '../../shared/testing/test-library.ts';
import {
  toTransferControlsPatch,
  toTransferControlsPatchMessage,
} from '../../shared/transfer-arbiter/transfer-controls-message.ts';
import { checkPart, toFindingText, toToldHead } from '../../site-server/admin-cli/audit-check.ts';
import { UsageError } from '../../site-server/admin-cli/command-failure.ts';
import {
  parseLimit,
  parseSchedule,
  toControlsPatch,
} from '../../site-server/admin-cli/control-options.ts';
import { toLimitText, toScheduleText } from '../../site-server/admin-cli/control-view.ts';
import { toPackageLocation } from '../../site-server/admin-cli/package-get/package-location.ts';
import {
  toDistributionPointPatch,
  toNewDistributionPoint,
} from '../../site-server/admin-service/distribution-point-messages.ts';
import { LinkAnswers } from '../../site-server/admin-service/link-answers.ts';
import {
  toPackageProperties,
  toPackageStatusQuery,
  toTargets,
  withPatch,
} from '../../site-server/admin-service/package-requests.ts';
import {
  toAuditQuery,
  toStatusMessageQuery,
} from '../../site-server/admin-service/report-messages.ts';
import {
  toNewSite,
  toRoutePatch,
  toSendRequestQuery,
  toSitePatch,
} from '../../site-server/admin-service/site-messages.ts';
import { decoded } from './decoded.ts';
import type { FuzzTarget } from './fuzz-target.ts';
import { refusing } from './refusing.ts';
import { weekWords } from './week-words.ts';

const packageId = 'PS100001';
const hash = hashOf(Buffer.from('a'));
const hashBytes = Buffer.from(hash, 'hex');
const properties: WireProperties = {
  ...{ name: 'A', version: '1', manufacturer: 'M', language: 'en', description: 'd\ne' },
  ...{ priority: 'PRIORITY_LOW', programs: [{ name: 'x', commandLine: 'y /q' }] },
  ...{ iconName: 'a.png', icon: Buffer.from('png') },
};
const kept: PackageProperties = {
  ...{ name: 'A', version: '1', manufacturer: '', language: '', description: '', priority: 2 },
  ...{ programs: [], iconName: '', iconBase64: '' },
};
const controls = toTransferControlsPatchMessage({
  limit: { kind: 'rate', bytesPerSecond: 5_000_000 },
  schedule: { timeZone: 'Europe/Berlin', hours: Array(168).fill('open') },
});

const links = new LinkAnswers({
  links: { set: async () => ({ linkName: 'wan', dpIds: [], toSiteCodes: [], controls: {} }) },
} as never).methods();

/** What each request of an administrator goes through first. */
const readers: readonly ((input: Buffer) => unknown)[] = [
  reader('addDistributionPoint', toNewDistributionPoint),
  reader('setDistributionPoint', toDistributionPointPatch),
  reader('addSite', toNewSite),
  reader('setSite', toSitePatch),
  reader('setRoute', toRoutePatch),
  reader('setLink', (settings) => links.setLink(settings)),
  reader('createPackage', (request) => toPackageProperties(request.properties)),
  reader('setPackage', (request) => withPatch(kept, request.properties)),
  reader('distributePackage', toTargets),
  reader('listPackageStatus', toPackageStatusQuery),
  reader('listStatusMessages', toStatusMessageQuery),
  reader('listAuditRecords', toAuditQuery),
  reader('listSendRequests', toSendRequestQuery),
];

function reader<M extends MethodName<'Admin'>>(
  method: M,
  read: (request: ReceivedRequestOf<'Admin', M>) => unknown,
): (input: Buffer) => unknown {
  return (input) => {
    const request = decoded(() => decodeRequest('Admin', method, input));
    return request && read(request);
  };
}

const record = {
  ...{ serial: 3, timeMs: 5, caller: 'waybill://admin/full/a', address: '10.0.0.1:5' },
  ...{ method: '/waybill.v1.Admin/GetSite', result: 'ok', detail: '' },
  ...{ previousHash: hashBytes, hash: hashBytes },
};

export const adminTargets: readonly FuzzTarget[] = [
  {
    name: 'admin-requests',
    form: 'protobuf',
    seeds: () => [
      encodeMessage('Admin', 'addDistributionPoint', {
        ...{ dpId: 'PS1DP1', address: 'a:8531', kind: 'DISTRIBUTION_POINT_KIND_PULL' },
        ...{ description: 'd', pinnedPriority: 7, controls, serveControls: controls },
        pull: { sources: [{ dpId: 'PS1DP2', rank: 1 }], allowFallback: true, packagesMax: 5 },
        validation: { everyHours: 24, bytesPerSecond: 1_000 },
      }),
      encodeMessage('Admin', 'addSite', {
        ...{ siteCode: 'PS1', kind: 'SITE_KIND_PRIMARY', parentSiteCode: 'CS1' },
        ...{ address: 'ps1:8530', description: 'd' },
      }),
      encodeMessage('Admin', 'setRoute', {
        ...{ fromSiteCode: 'CS1', toSiteCode: 'PS1', addresses: ['ps1:8530'], controls },
      }),
      encodeMessage('Admin', 'setLink', {
        ...{ linkName: 'wan', siteCode: 'PS1', dpIds: { names: ['PS1DP1'] }, controls },
        toSiteCodes: { names: ['SS1'] },
      }),
      encodeMessage('Admin', 'createPackage', { properties, sourceDirectories: ['/a'] }),
      encodeMessage('Admin', 'distributePackage', {
        ...{ packageId, dpIds: ['PS1DP1'], siteCodes: ['PS1'], groupNames: ['Lab'] },
      }),
      encodeMessage('Admin', 'listStatusMessages', {
        ...{ packageId, dpId: 'PS1DP1', sinceMs: 5, limit: 7, siteCode: 'PS1' },
      }),
    ],
    parse: async (input) => {
      for (const read of readers) await refusing(['REQUEST_INVALID'], () => read(input));
    },
  },
  {
    name: 'located-package',
    form: 'protobuf',
    seeds: () => {
      const content = {
        ...{ contentId: 'PS100001.1', contentHash: hash, signatureHash: hash, manifestBytes: 9 },
        ...{ signatureBytes: 0, entryCount: 1, fileCount: 1, sizeBytes: 1 },
      };
      const { bytes: bundle } = encodeBundle(toVersion(packageId, 2, [content]));
      const sources = ['waybill://dp/PS1DP2', 'waybill://site/PS1'].map((identity, rank) => ({
        source: {
          ...{ identity, address: 'a:8531', rank, protocol: 'SOURCE_PROTOCOL_GRPC' as const },
        },
        nearness: 'SOURCE_NEARNESS_SAME_NETWORK' as const,
      }));
      return [encodeAnswer('ManagementPoint', 'locateContent', { bundle, sources })];
    },
    parse: (input) => {
      const answer = decoded(() => decodeAnswer('ManagementPoint', 'locateContent', input));
      if (!answer) return;
      return refusing(['MESSAGE_INVALID', 'PACKAGE_NOT_LOCATED'], () => {
        const { version, sources } = toPackageLocation(answer, packageId, decodeBundle);
        assert.equal(version.packageId, packageId);
        assert.ok(sources.length > 0);
      });
    },
  },
  {
    name: 'audit-trail',
    form: 'protobuf',
    seeds: () => [
      encodeAnswer('Admin', 'readAuditTrail', {
        anchor: { serial: 2, hash: hashBytes },
        records: [record, { ...record, serial: 4 }, { ...record, serial: 9 }],
      }),
      encodeAnswer('Admin', 'listAuditHeads', { serial: 4, hash: hashBytes, toldAtMs: 5 }),
    ],
    parse: (input) => {
      const part = decoded(() => decodeAnswer('Admin', 'readAuditTrail', input));
      const head = decoded(() => decodeAnswer('Admin', 'listAuditHeads', input));
      return refusing(['MESSAGE_INVALID'], () => {
        const told = head ? [toToldHead(head, 'CS1')] : [];
        const heads = [...told, { serial: 4, hash, toldAtMs: 5, toldTo: 'PS1' }];
        const check = new ChainCheck(heads);
        for (let count = 0; part && count < 2; count++) checkPart(check, part);
        const { findings, findingCount } = check.end();
        assert.ok(findings.length <= findingCount);
        const texts = { timeZone: 'UTC', keptDays: 400 };
        for (const finding of findings) assert.notEqual(toFindingText(finding, texts), '');
      });
    },
  },
  {
    name: 'typed-controls',
    form: 'text',
    words: [...weekWords, '2MB/s', ',', '80Mbit/s'],
    seeds: () =>
      [
        'mon-fri 08-18 closed, sat-sun open, else high-only',
        'mon, wed 22-06 2MB/s, sun 1.5MiB/s, else none',
        'pulse:64KiB/100ms',
        '12.5 Mbit/s',
      ].map((one) => Buffer.from(one)),
    parse: (input) => {
      const text = input.toString('utf8');
      const limit = typed(() => parseLimit(text, '--limit'));
      // As it is shown, it can be typed again, and means the same.
      if (limit && limit !== 'none') {
        const zoned = limit.kind === 'hourly' ? { ...limit, timeZone: 'UTC' } : limit;
        const shown = toLimitText({ schedule: null, limit: zoned });
        assert.deepEqual(parseLimit(shown, '--limit'), limit);
      }
      const hours = typed(() => parseSchedule(text, '--schedule'));
      if (hours && hours !== 'none') {
        const shown = toScheduleText({ schedule: { timeZone: 'UTC', hours }, limit: null });
        assert.deepEqual(parseSchedule(shown, '--schedule'), hours);
      }
      const patch = toControlsPatch(
        { limit, schedule: hours },
        { named: undefined, machine: 'Europe/Berlin' },
        null,
      );
      if (patch) toTransferControlsPatch(overTheWire(patch), 'controls');
    },
  },
];

/** What is typed, when it is taken. */
function typed<T>(parse: () => T): T | undefined {
  try {
    return parse();
  } catch (error) {
    if (error instanceof UsageError) return undefined;
    throw error;
  }
}

function overTheWire(patch: ReturnType<typeof toTransferControlsPatchMessage>) {
  const bytes = encodeMessage('Admin', 'setRoute', { controls: patch });
  const { controls: received } = decodeRequest('Admin', 'setRoute', bytes);
  assert.ok(received);
  return received;
}
