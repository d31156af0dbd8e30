import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import type { PeerIdentity } from '../domain/peer-identity.ts';
import { callPolicy, mayCall } from './call-policy.ts';
import { scopePolicy, scopeRefusalOf } from './scope-policy.ts';
import { type ProtoMethod, protoMethods } from './testing/proto-callers.ts';

const page = new URL('../../../docs/access.md', import.meta.url);
const [begin, end] = ['<!-- table -->\n', '<!-- end of table -->'];

/** Of each column somebody who calls a server of site PS1. */
const callers = {
  'own site': { kind: 'site', siteCode: 'PS1' },
  'other site': { kind: 'site', siteCode: 'PS2' },
  'own DP': { kind: 'dp', dpId: 'PS1DP1' },
  'other DP': { kind: 'dp', dpId: 'PS2DP1' },
  full: { kind: 'admin', role: 'full', name: 'alice' },
  operator: { kind: 'admin', role: 'operator', name: 'olga' },
  'read-only': { kind: 'admin', role: 'read-only', name: 'rita' },
  client: { kind: 'client', name: 'pc1' },
} as const satisfies Record<string, PeerIdentity>;
const scoped: PeerIdentity = {
  ...{ kind: 'admin', role: 'full', name: 'bob' },
  scope: { siteCodes: ['PS1'], groupNames: [] },
};

/** Enrollment has a port of its own, where nobody shows a certificate. */
const withoutCertificate = 'Enrollment';

function cellOf(path: string, identity: PeerIdentity, column: string): string {
  if (!mayCall(identity, path, 'PS1')) return '–';
  const groups = callPolicy.get(path)?.callers ?? [];
  // What the policy does not know, the methods do.
  if (identity.kind === 'site' && groups.includes('sites of the hierarchy')) {
    return path.startsWith('/waybill.v1.SiteTransfer/') ? 'known sites' : 'neighbours';
  }
  if (identity.kind === 'dp' && groups.includes('distribution points of this site')) {
    return column === 'own DP' ? 'itself' : '–';
  }
  return '●';
}

function scopedCell(path: string): string {
  if (!mayCall(scoped, path, 'PS1') || scopeRefusalOf(scoped, path)) return '–';
  return scopePolicy.get(path) ?? '●';
}

function rowOf(name: string, path: string): string {
  const cells = Object.entries(callers).map(([column, identity]) => cellOf(path, identity, column));
  return `| ${name} | ${cells.join(' | ')} | ${scopedCell(path)} |`;
}

function tableOf(rows: readonly string[]): string {
  const columns = Object.keys(callers);
  const head = `| method | ${columns.join(' | ')} | with a scope |`;
  return [head, `|---|${'---|'.repeat(columns.length + 1)}`, ...rows].join('\n');
}

function toTables(methods: readonly ProtoMethod[]): string {
  const services = [...new Set(methods.map(({ service }) => service))];
  const parts = services.map((service) => {
    const own = methods.filter((one) => one.service === service);
    if (service === withoutCertificate) {
      const rows = own.map(({ method, callers: groups }) => `| ${method} | ${groups.join('; ')} |`);
      return `## ${service}\n\n| method | who |\n|---|---|\n${rows.join('\n')}\n`;
    }
    return `## ${service}\n\n${tableOf(own.map(({ method, path }) => rowOf(method, path)))}\n`;
  });
  const others = [...callPolicy.keys()].filter((path) => !path.startsWith('/waybill.v1.'));
  const rows = others.map((path) => rowOf(path.slice(1), path));
  return ['', ...parts, `## Of gRPC itself\n\n${tableOf(rows)}\n`, ''].join('\n');
}

describe('docs/access.md', () => {
  it('says who may call what, as the protos and the policies do', async () => {
    const text = await readFile(page, 'utf8');
    const start = text.indexOf(begin) + begin.length;
    const stop = text.indexOf(end);
    assert.ok(start >= begin.length && stop >= start, 'it has a place for the tables');
    const tables = toTables(protoMethods());
    if (process.env.UPDATE_DOCS === '1') {
      await writeFile(page, text.slice(0, start) + tables + text.slice(stop));
      return;
    }
    assert.equal(text.slice(start, stop), tables);
  });
});
