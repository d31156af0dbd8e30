import type { Package__Output } from '../../shared/rpc/generated/waybill/v1/Package.ts';
import { toCount, toHex, toWord } from './wire-values.ts';

/** A package, as `--json` shows it. */
export type PackageRecord = ReturnType<typeof toPackageRecord>;

/** A package as it came from the site server. */
export function toPackageRecord(wire: Package__Output) {
  return {
    packageId: wire.packageId,
    ...toProperties(wire.properties),
    sourceSiteCode: wire.sourceSiteCode,
    sourceDirectories: wire.sourceDirectories,
    sourceVersion: wire.sourceVersion,
    storedVersion: wire.storedVersion,
    state: toWord('PACKAGE_STATE_', wire.state),
    reason: wire.reason,
    snapshotBytes: toCount(wire.snapshotBytes, 'snapshot_bytes'),
    snapshotFiles: toCount(wire.snapshotFiles, 'snapshot_files'),
    sizeBytes: toCount(wire.sizeBytes, 'size_bytes'),
    fileCount: toCount(wire.fileCount, 'file_count'),
    packageHash: toHex(wire.packageHash),
    contentIds: wire.contentIds,
    createdAtMs: toCount(wire.createdAtMs, 'created_at_ms'),
    updatedAtMs: toCount(wire.updatedAtMs, 'updated_at_ms'),
    acceptedRequestCount: toCount(wire.acceptedRequestCount, 'accepted_request_count'),
    handledRequestCount: toCount(wire.handledRequestCount, 'handled_request_count'),
    sourceUnchanged: wire.sourceUnchanged,
    counts: toCounts(wire.counts),
    groupNames: wire.groupNames,
  };
}

function toProperties(wire: Package__Output['properties']) {
  return {
    name: wire?.name ?? '',
    version: wire?.version ?? '',
    manufacturer: wire?.manufacturer ?? '',
    language: wire?.language ?? '',
    description: wire?.description ?? '',
    priority: toWord('PRIORITY_', wire?.priority ?? 'PRIORITY_UNSPECIFIED'),
    programs: (wire?.programs ?? []).map(({ name, commandLine }) => ({ name, commandLine })),
    iconName: wire?.iconName ?? '',
  };
}

function toCounts(wire: Package__Output['counts']) {
  return {
    targeted: wire?.targeted ?? 0,
    installed: wire?.installed ?? 0,
    retrying: wire?.retrying ?? 0,
    failed: wire?.failed ?? 0,
  };
}
