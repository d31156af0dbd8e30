import type { PackageStatus } from '../../../shared/domain/package-status.ts';
import type { SitePackage } from '../../../shared/domain/site-package.ts';
import { joinKey, keySpaces } from '../../../shared/state-store/key-space.ts';
import type { Change } from '../../../shared/state-store/state-store.ts';
import type { SeededRandom } from '../../../shared/testing/seeded-random.ts';
import type { TestSite } from './test-hierarchy.ts';

export function testPackage(packageId: string, name: string): SitePackage {
  const texts = { version: '1', manufacturer: '', language: '', description: '' };
  const icon = { iconName: '', iconBase64: '' };
  return {
    ...{ packageId, sourceSiteCode: packageId.slice(0, 3), sources: [], sourceVersion: 1 },
    properties: { name, ...texts, priority: 2, programs: [], ...icon },
    ...{ packageHash: '', state: 'published', reason: '', acceptedRequestCount: 1 },
    ...{ handledRequestCount: 1, sourceUnchanged: false, createdAtMs: 1, updatedAtMs: 1 },
  };
}

export function testStatus(packageId: string, dpId: string, version: number): PackageStatus {
  return {
    ...{ packageId, dpId, state: 'installed', installedVersion: version, targetVersion: version },
    ...{ reason: '', changedAtMs: version, jobSerial: 1, verifiedHash: '' },
  };
}

/** What one component of a site, or an administrator there, writes; none of it the same twice. */
export function randomEdit(
  random: SeededRandom,
  site: TestSite,
  codes: readonly string[],
): Change[] {
  const { store, code } = site;
  const serial = random.below(1e9);
  const packageId = `${random.pick(codes)}0000${random.below(3)}`;
  const ownPackageId = `${code}0000${random.below(3)}`;
  const place = random.below(3);
  const dpId = `DP${place}`;
  const { own, tree } = site.directory;
  const mayDelete = (owner: string) => !own.parent || tree.isUnder(owner, code);
  const isDeletion = random.below(4) === 0;
  const change = <V>(space: Parameters<typeof store.records<V>>[0], key: string, value: V) =>
    isDeletion ? store.records(space).delete(key) : store.records(space).put(key, value);
  /** Of a row that belongs to a site: others set it, and do not delete it. */
  const changeOwned = <V>(
    owner: string,
    ...[space, key, value]: [Parameters<typeof store.records<V>>[0], string, V]
  ) => (mayDelete(owner) ? change(space, key, value) : store.records(space).put(key, value));
  const pointSite = codes[place % codes.length] ?? code;
  const point = { dpId, address: 'a:1', kind: 'standard', siteCode: pointSite } as const;
  const description = `${serial}`;
  const { properties } = testPackage(packageId, description);
  const content = { storedHash: '', reason: '', refusedJobId: '', needsFull: false };
  const edits = [
    () =>
      changeOwned(pointSite, keySpaces.hierarchyDistributionPoints, dpId, {
        ...{ ...point, description },
      }),
    () =>
      changeOwned(packageId.slice(0, 3), keySpaces.packageDefinitions, packageId, {
        ...{ packageId, sourceSiteCode: packageId.slice(0, 3), properties, directories: [] },
      }),
    () =>
      change(keySpaces.packageAssignments, joinKey(packageId, dpId), {
        ...{ packageId, dpId, siteCode: code, intent: 'installed', action: 'add' },
        ...{ wishId: description, wishedAtMs: 1 },
      }),
    () =>
      change(keySpaces.groupMembers, joinKey('Offices', dpId), {
        ...{ groupName: 'Offices', dpId, joinedAtMs: serial, leftAtMs: 0, isDropping: false },
      }),
    () =>
      change(keySpaces.componentSettings, joinKey(code, 'packages-at-once'), {
        ...{ siteCode: code, settingName: 'packages-at-once', value: serial },
      }),
    () =>
      change(keySpaces.groupAssignments, joinKey(packageId, 'Offices'), {
        ...{ groupName: 'Offices', packageId, intent: 'removed', saidAtMs: serial, sinceMs: 0 },
      }),
    () => {
      const requests = { packageId, siteCode: code, updateCount: serial, isDeletion: false };
      return change(keySpaces.packageRequests, joinKey(packageId, code), requests);
    },
    () => {
      const revocation = { siteCode: code, holder: `dp/${dpId}`, revokedAtMs: serial };
      const why = { reason: description, revokedBy: 'waybill://admin/full/alice' };
      const rows = store.records(keySpaces.revocations);
      return rows.put(joinKey(code, 'dp', dpId), { ...revocation, ...why });
    },
    () => change(keySpaces.packages, ownPackageId, testPackage(ownPackageId, description)),
    () =>
      change(
        keySpaces.packageStatus,
        joinKey(packageId, dpId),
        testStatus(packageId, dpId, serial),
      ),
    () =>
      change(keySpaces.siteContents, joinKey(packageId, code), {
        ...{ packageId, siteCode: code, state: 'stored', storedVersion: serial, ...content },
        changedAtMs: 1,
      }),
    () => {
      const finalSiteCode = random.pick(codes);
      return change(keySpaces.forwardingFailures, joinKey(packageId, code, finalSiteCode), {
        ...{ packageId, siteCode: code, finalSiteCode, jobId: description, mayRepeat: true },
        ...{ reason: '', failedAtMs: serial },
      });
    },
    () => {
      const other = random.pick(codes);
      const addresses = [`h${serial}:1`, `${other}:1`];
      return change(keySpaces.routes, joinKey(code, other), {
        ...{ fromSiteCode: code, toSiteCode: other, addresses },
      });
    },
  ];
  const edited = site.directory.tree.get(random.pick(codes));
  // What a site is, is said above it.
  const isAbove =
    edited && (edited.siteCode === code ? !own.parent : tree.isUnder(edited.siteCode, code));
  if (isAbove) {
    const sites = store.records(keySpaces.sites);
    edits.push(() => sites.put(edited.siteCode, { ...edited, description }));
  }
  return [random.pick(edits)(), ...(random.below(3) === 0 ? [random.pick(edits)()] : [])];
}
