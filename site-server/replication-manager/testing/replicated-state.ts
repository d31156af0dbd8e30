import assert from 'node:assert/strict';
import { isDeepStrictEqual } from 'node:util';
import { keySpaces } from '../../../shared/state-store/key-space.ts';
import type { TestHierarchy, TestSite } from './test-hierarchy.ts';

const everywhere = [
  keySpaces.sites,
  keySpaces.siteIdentities,
  keySpaces.routes,
  keySpaces.hierarchyDistributionPoints,
  keySpaces.packageDefinitions,
  keySpaces.packageRequests,
  keySpaces.packageAssignments,
  keySpaces.distributionPointGroups,
  keySpaces.groupMembers,
  keySpaces.groupAssignments,
  keySpaces.groupWishes,
  keySpaces.componentSettings,
  keySpaces.revocations,
] as const;

/** Every replicated row of a site by its name on the wire, its own included. */
async function replicatedRows(site: TestSite): Promise<Map<string, unknown>> {
  const rows = new Map<string, unknown>();
  for (const space of [
    ...everywhere,
    keySpaces.siteContents,
    keySpaces.forwardingFailures,
  ] as const) {
    for (const [key, value] of await site.rows<unknown>(space))
      rows.set(`${space.name}/${key}`, value);
  }
  for (const space of [keySpaces.packages, keySpaces.publishedPackages] as const) {
    for (const [key, value] of await site.rows<unknown>(space)) {
      rows.set(`published-packages/${key}`, value);
    }
  }
  for (const [key, value] of await site.rows(keySpaces.packageStatus)) {
    const [packageId, dpId] = key.split('/');
    rows.set(`site-package-status/${packageId}/${site.code}/${dpId}`, value);
  }
  for (const [key, value] of await site.rows(keySpaces.sitePackageStatus)) {
    rows.set(`site-package-status/${key}`, value);
  }
  return rows;
}

/** Whether a site is to have a row of which these sites are the origin (REP-8). */
function isFor(site: TestSite, row: string): boolean {
  const [table, packageId = '', origin = ''] = row.split('/');
  const upward = [
    'site-contents',
    'forwarding-failures',
    'site-package-status',
    'validation-results',
  ];
  if (!upward.includes(table ?? '')) return true;
  const { tree } = site.directory;
  const source = packageId.slice(0, 3);
  // It passes every site on its way up, and on its way to the source site.
  if (tree.isUnder(origin, site.code)) return true;
  return tree.isUnder(source, site.code);
}

/** What is not as it should be; undefined when all sites have the rows they are to have. */
export async function differenceOf(hierarchy: TestHierarchy): Promise<string | undefined> {
  const states = new Map<string, Map<string, unknown>>();
  for (const site of hierarchy.sites.values()) states.set(site.code, await replicatedRows(site));
  const names = new Set([...states.values()].flatMap((rows) => [...rows.keys()]));
  for (const name of names) {
    const holders = [...hierarchy.sites.values()].filter((site) => isFor(site, name));
    const [first] = holders;
    assert.ok(first);
    const expected = states.get(first.code)?.get(name);
    for (const site of hierarchy.sites.values()) {
      const actual = states.get(site.code)?.get(name);
      const isExpected = holders.includes(site)
        ? isDeepStrictEqual(actual, expected)
        : actual === undefined;
      if (!isExpected) {
        const [there, here] = [expected, actual].map((value) => JSON.stringify(value));
        return `${name} at ${first.code}: ${there}; at ${site.code}: ${here}`;
      }
    }
  }
  return undefined;
}

/** Waits until all sites have the rows they are to have. */
export async function converged(hierarchy: TestHierarchy): Promise<void> {
  let difference: string | undefined;
  const isSo = async () => {
    difference = await differenceOf(hierarchy);
    return difference === undefined;
  };
  try {
    await hierarchy.until(isSo, 'equal rows');
  } catch (error) {
    const sites = [...hierarchy.sites.values()];
    const states = await Promise.all(sites.map((site) => site.manager.neighbours()));
    const shown = states.flat().map((state) => JSON.stringify(state));
    throw new Error(['Not equal:', difference, ...shown].join('\n'), { cause: error });
  }
}
