/** Parsers of what sites tell their DPs, and of what DPs tell sites. */
import assert from 'node:assert/strict';
import { distributionPointConversation } from '../../dp-agent/dp-provider/distribution-point-conversation.ts';
import { pullDpConversation } from '../../dp-agent/pull-dp/pull-dp-conversation.ts';
import { ToldTrustKeeper } from '../../dp-agent/told-trust/told-trust.ts';
import { toldTrustConversation } from '../../dp-agent/told-trust/told-trust-conversation.ts';
import { hashOf } from '../../shared/content-library/content-hash.ts';
import type { CertifiedPeer } from '../../shared/domain/certificate-authority.ts';
import { parseHash, pieceBytes } from '../../shared/domain/content.ts';
import { parsePackageId } from '../../shared/domain/package.ts';
import type { ToldTrust } from '../../shared/domain/told-trust.ts';
import { encodeBundle } from '../../shared/package-info/package-info-bundle.ts';
import { toPackageVersionMessage } from '../../shared/package-info/package-version-message.ts';
import { requireReport } from '../../shared/package-info/validation-report-message.ts';
import type { CallContext } from '../../shared/rpc/conversation.ts';
import {
  decodeAnswer,
  decodeRequest,
  encodeAnswer,
  encodeMessage,
} from '../../shared/rpc/service-definitions.ts';
import { CapturedLog } from '../../shared/testing/captured-log.ts';
import { FakeClock } from '../../shared/testing/fake-clock.ts';
import { toVersion } from '../../shared/testing/test-library.ts';
import { requireStateMessage } from '../../site-server/management-point/state-message-check.ts';
import { decoded } from './decoded.ts';
import type { FuzzTarget } from './fuzz-target.ts';
import { refusing } from './refusing.ts';

const nowMs = Date.UTC(2026, 5, 1);
const context = {} as CallContext;
const self = { dpId: 'PS1DP1', siteCode: 'PS1' };
const packageId = 'PS100001';
const action = { packageId, jobSerial: 7 };
const bytes = Buffer.from('bytes of a file');
const hash = hashOf(bytes);
const manifest = Buffer.from('a manifest');

const version = toVersion(packageId, 2, [
  {
    ...{ contentId: 'PS100001.1', contentHash: hash, signatureHash: hash, entryCount: 1 },
    ...{ manifestBytes: manifest.length, signatureBytes: 0, fileCount: 1, sizeBytes: 15 },
  },
]);
const manifests = [{ contentId: 'PS100001.1', manifest, signature: Buffer.alloc(0) }];
const delta = {
  ...{ fileHash: Buffer.from(hash, 'hex'), fileBytes: 40, baseHash: Buffer.alloc(32, 1) },
  ...{ baseBytes: 50, deltaHash: Buffer.alloc(32, 2), deltaBytes: 9 },
  deltaPieceHashes: Buffer.alloc(0),
};

function assertAction(one: { readonly packageId: string; readonly jobSerial: number }): void {
  assert.ok(parsePackageId(one.packageId) !== undefined && one.jobSerial > 0);
}

/** Takes all that gets through to where it is kept, as far as it is sound. */
const provider = {
  begin: async (begun: typeof action & { version: typeof version }, sent: typeof manifests) => {
    assertAction(begun);
    assert.equal(begun.version.packageId, begun.packageId);
    for (const { contentId } of sent) {
      assert.ok(begun.version.contents.some((one) => one.contentId === contentId));
    }
    return { contentIdsWithoutManifest: [], inspected: [] };
  },
  offerDeltas: async (offered: typeof action, deltas: readonly { deltaBytes: number }[]) => {
    assertAction(offered);
    assert.ok(deltas.every(({ deltaBytes }) => deltaBytes > 0));
    return [];
  },
  receivePiece: async (_action: object, piece: { hash: string; pieceIndex: number }) => {
    assert.ok(parseHash(piece.hash) !== undefined && piece.pieceIndex >= 0);
  },
  receiveSmallFiles: async (_action: object, files: readonly { hash: string }[]) => {
    assert.ok(files.every((file) => parseHash(file.hash) !== undefined));
  },
} as never;
const library = {
  areHeld: async (files: readonly { hash: string; sizeBytes: number }[]) =>
    files.map((file) => {
      assert.ok(parseHash(file.hash) !== undefined && file.sizeBytes >= 0);
      return true;
    }),
} as never;
const pushed = distributionPointConversation(provider, library, self as never);
const pulled = pullDpConversation(
  {
    putPackageInfo: (info: typeof action) => assertAction(info),
    notify: async (notification: typeof action & { sources: readonly unknown[] }) => {
      assertAction(notification);
      assert.ok(notification.sources.length > 0);
    },
  } as never,
  self,
);

async function* streamOf<T>(...messages: readonly T[]): AsyncGenerator<T> {
  yield* messages;
}

async function ended(answers: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of answers);
}

/** A peer of another site, as told trust looks at it. */
const peer: CertifiedPeer = {
  identity: { kind: 'dp', dpId: 'PS2DP1' },
  voucher: { siteCode: 'PS2' },
  ...{ notBeforeMs: nowMs - 5_000, notAfterMs: nowMs + 5_000, vouchedFromMs: nowMs - 9_000 },
};

/** Told trust that has heard nothing yet, over a table in memory. */
function toldTrust(): ToldTrustKeeper {
  let row: ToldTrust | undefined;
  const rows = {
    get: async () => row,
    put: (_key: string, value: ToldTrust) => {
      row = value;
    },
  };
  const store = { records: () => rows, write: async () => {} } as never;
  const { logger } = new CapturedLog();
  const isBundleKept = () => true;
  return new ToldTrustKeeper({
    ...{ store, logger, isBundleKept, clock: new FakeClock(nowMs), siteCode: 'PS1' },
  });
}

export const dpTargets: readonly FuzzTarget[] = [
  {
    name: 'told-trust',
    form: 'protobuf',
    seeds: () => [
      encodeMessage('DistributionPoint', 'setTrust', {
        header: {
          revocationCount: 3,
          sites: [
            { siteCode: 'CS1', parentSiteCode: '' },
            { siteCode: 'PS1', parentSiteCode: 'CS1' },
            { siteCode: 'PS2', parentSiteCode: 'CS1' },
          ],
          bundle: { generation: 2, bundle: Buffer.from('{}') },
        },
        revocations: [
          { siteCode: 'CS1', holder: 'dp/PS2DP1', revokedAtMs: nowMs - 7_000 },
          { siteCode: 'CS1', holder: 'site/PS2', revokedAtMs: nowMs - 8_000 },
          { siteCode: 'PS2', holder: 'admin/bob', revokedAtMs: nowMs },
        ],
      }),
    ],
    parse: async (input) => {
      const said = decoded(() => decodeRequest('DistributionPoint', 'setTrust', input));
      if (!said) return;
      const told = toldTrust();
      const { setTrust } = toldTrustConversation(told);
      const rest = { header: null, revocations: said.revocations };
      for (const parts of [[said], [{ ...said, revocations: [] }, rest], [said, rest]]) {
        await refusing(['MESSAGE_INVALID'], () => setTrust(streamOf(...parts) as never, context));
        told.trust.refusalOf(peer);
        told.trust.isVouchedHere(peer, 'administrators');
      }
    },
  },
  {
    name: 'pull-notification',
    form: 'protobuf',
    seeds: () => [
      encodeMessage('DistributionPoint', 'notifyPull', {
        ...{ action, sourceVersion: 2, pullAction: 'PULL_ACTION_ADD', allowFallback: true },
        ...{ priority: 'PRIORITY_NORMAL', packageType: 'PACKAGE_TYPE_STANDARD', sizeBytes: 15 },
        ...{ hashAlgorithm: 'HASH_ALGORITHM_BLAKE3_256', bundleHash: Buffer.from(hash, 'hex') },
        contents: [{ contentId: 'PS100001.1', relatedContentId: 'PS100001.0' }],
        sources: ['waybill://dp/PS1DP2', 'waybill://site/PS1'].map((identity, rank) => ({
          ...{ identity, address: 'a.example:8531', protocol: 'SOURCE_PROTOCOL_GRPC' as const },
          rank,
        })),
        ...{ managementPoint: 'ps1:8530', settings: { packagesMax: 5 } },
      }),
    ],
    parse: (input) => {
      const said = decoded(() => decodeRequest('DistributionPoint', 'notifyPull', input));
      return refusing(['MESSAGE_INVALID'], () => said && pulled.notifyPull(said, context));
    },
  },
  {
    name: 'begun-package',
    form: 'protobuf',
    seeds: () => [
      encodeMessage('DistributionPoint', 'begin', {
        ...{ action, manifests, package: toPackageVersionMessage(version) },
      }),
      encodeMessage('DistributionPoint', 'putPackageInfo', {
        ...{ action, manifests, bundle: encodeBundle(version).bytes },
      }),
      encodeMessage('DistributionPoint', 'offerDeltas', { action, deltas: [delta] }),
    ],
    parse: async (input) => {
      const begin = decoded(() => decodeRequest('DistributionPoint', 'begin', input));
      const info = decoded(() => decodeRequest('DistributionPoint', 'putPackageInfo', input));
      const deltas = decoded(() => decodeRequest('DistributionPoint', 'offerDeltas', input));
      await refusing(['MESSAGE_INVALID'], () => begin && pushed.begin(begin, context));
      await refusing(['MESSAGE_INVALID'], () => info && pulled.putPackageInfo(info, context));
      await refusing(['MESSAGE_INVALID'], () => deltas && pushed.offerDeltas(deltas, context));
    },
  },
  {
    name: 'pushed-content',
    form: 'protobuf',
    seeds: () => {
      const fileHash = Buffer.from(hash, 'hex');
      const fragment = { data: bytes, last: true };
      return [
        ...[{ piece: { fileHash, pieceIndex: 1, data: bytes } }, { fragment }],
        { files: { files: [{ fileHash, data: bytes }] } },
      ]
        .map((one) => encodeMessage('DistributionPoint', 'putContent', one))
        .concat(
          encodeMessage('DistributionPoint', 'findFiles', { hashes: fileHash, sizeBytes: [15] }),
        );
    },
    parse: async (input) => {
      const open = { open: action, body: 'open' };
      const whole = decoded(() => decodeRequest('DistributionPoint', 'putContent', input));
      const middle = Math.min(input.length >> 1, pieceBytes);
      const parts = [input.subarray(0, middle), input.subarray(middle)].map((data, index) => ({
        ...{ fragment: { data, last: index === 1 }, body: 'fragment' },
      }));
      for (const messages of [[open, whole], [open, ...parts], [open, parts[0], whole], [whole]]) {
        if (messages.includes(undefined)) continue;
        const requests = streamOf(...messages) as never;
        await refusing(['MESSAGE_INVALID'], () => ended(pushed.putContent(requests, context)));
      }
      const asked = decoded(() => decodeRequest('DistributionPoint', 'findFiles', input));
      await refusing(['MESSAGE_INVALID'], () => asked && pushed.findFiles(asked, context));
    },
  },
  {
    name: 'state-message',
    form: 'protobuf',
    seeds: () => [
      encodeMessage('ManagementPoint', 'reportState', {
        ...{ dpId: 'PS1DP1', topicType: 902, packageId, jobSerial: 7, outboxMadeAtMs: 5 },
        ...{ serial: 1, sourceVersion: 2, state: 'PULL_STATE_SUCCESS', percent: 100 },
        ...{ doneBytes: 15, totalBytes: 15, receivedBytes: 15, timeMs: nowMs },
        ...{ packageHash: Buffer.from(hash, 'hex'), source: 'waybill://dp/PS1DP2' },
      }),
      encodeMessage('ManagementPoint', 'reportState', {
        ...{ dpId: 'PS1DP1', topicType: 902, packageId, jobSerial: 7, outboxMadeAtMs: 5 },
        ...{ serial: 2, sourceVersion: 2, state: 'PULL_STATE_FAILURE', timeMs: nowMs },
        error: { code: 'CONTENT_WINDOW_CLOSED', facts: { opensAtMs: `${nowMs}` } },
      }),
    ],
    parse: (input) => {
      const said = decoded(() => decodeRequest('ManagementPoint', 'reportState', input));
      if (!said) return;
      return refusing(['MESSAGE_INVALID'], () => {
        const { percent, doneBytes, totalBytes, error, state } = requireStateMessage(said);
        assert.ok(percent <= 100 && doneBytes <= totalBytes);
        if (state === 'failure') assert.ok(error);
      });
    },
  },
  {
    name: 'validation-report',
    form: 'protobuf',
    seeds: () => [
      encodeAnswer('DistributionPoint', 'validate', {
        report: {
          ...{ heldVersion: 2, heldHash: Buffer.from(hash, 'hex'), fileCount: 9, damagedFiles: 1 },
          ...{ missingFiles: 1, mendedFiles: 0, damagedDeltas: 0, damagedManifests: 0 },
          files: [
            {
              ...{ path: 'a/b', fileHash: Buffer.from(hash, 'hex'), detail: 'cut off' },
              finding: 'UNSOUND_FINDING_DAMAGED',
            },
          ],
          alsoUsedBy: [packageId],
        },
      }),
    ],
    parse: (input) => {
      const report = decoded(() => decodeAnswer('DistributionPoint', 'validate', input))?.report;
      if (!report) return;
      return refusing(['MESSAGE_INVALID'], () => {
        const { files, alsoUsedBy, damagedCount } = requireReport(report);
        assert.ok(files.length <= 100 && alsoUsedBy.length <= 100 && damagedCount >= 0);
        assert.ok(files.every(({ path, detail = '' }) => path.length + detail.length < 6_000));
      });
    },
  },
];
