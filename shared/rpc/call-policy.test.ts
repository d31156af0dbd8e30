import assert from 'node:assert/strict';
import type { PeerIdentity } from '../domain/peer-identity.ts';
import { callPolicy, mayCall } from './call-policy.ts';
import { protoMethods } from './testing/proto-callers.ts';

describe('call policy (SEC-1)', () => {
  it('says what the comments of the protos say, method by method', () => {
    const inProtos = protoMethods().map(({ path, callers }) => [path, callers] as const);
    const inTable = [...callPolicy].filter(([path]) => path.startsWith('/waybill.v1.'));
    const byPath = (a: readonly [string, unknown], b: readonly [string, unknown]) =>
      a[0] < b[0] ? -1 : 1;
    assert.deepEqual(
      inTable.map(([path, rule]) => [path, [...rule.callers]] as const).sort(byPath),
      [...inProtos].sort(byPath),
    );
  });

  it('writes to the audit trail whatever an administrator may not do by reading alone (ADM-5)', () => {
    for (const [path, rule] of callPolicy) {
      const isForAdministrators = rule.callers.some((group) => group.startsWith('administrators'));
      if (!isForAdministrators || rule.callers.includes('administrators')) continue;
      // It does nothing, however long that takes.
      if (path.includes('/Preview')) continue;
      assert.equal(rule.audited, 'always', path);
    }
  });

  it('has no method that changes the audit trail (ADM-5)', () => {
    const ofAudit = [...callPolicy].filter(([path]) => path.includes('Audit'));
    assert.deepEqual(
      ofAudit.map(([path, { audited, callers }]) => [path.split('/')[2], audited, ...callers]),
      [
        ['ListAuditRecords', 'never', 'administrators'],
        ['ReadAuditTrail', 'never', 'administrators'],
        ['ListAuditHeads', 'never', 'administrators'],
      ],
    );
  });

  it('lets each role do what the roles below it may, and more', () => {
    const [full, operator, readOnly] = (['full', 'operator', 'read-only'] as const).map((role) => {
      const identity: PeerIdentity = { kind: 'admin', role, name: 'a' };
      return new Set([...callPolicy.keys()].filter((path) => mayCall(identity, path, 'PS1')));
    }) as [Set<string>, Set<string>, Set<string>];
    for (const path of operator) assert.ok(full.has(path), path);
    for (const path of readOnly) assert.ok(operator.has(path), path);
    assert.ok(full.size > operator.size && operator.size > readOnly.size);
    assert.equal(operator.has('/waybill.v1.Admin/DistributePackage'), true);
    assert.equal(operator.has('/waybill.v1.Admin/DeleteSite'), false);
    assert.equal(readOnly.has('/waybill.v1.Admin/DistributePackage'), false);
  });

  it('lets nobody call what is not in the table', () => {
    const everybody: PeerIdentity[] = [
      { kind: 'site', siteCode: 'PS1' },
      { kind: 'dp', dpId: 'PS1DP1' },
      { kind: 'admin', role: 'full', name: 'alice' },
      { kind: 'client', name: 'pc1' },
    ];
    for (const identity of everybody) {
      for (const path of ['/waybill.v1.Admin/Unheard', '', '__proto__', 'constructor']) {
        assert.equal(mayCall(identity, path, 'PS1'), false);
      }
    }
  });

  it('takes only the very site of a DP for its site', () => {
    const check = '/waybill.v1.DistributionPoint/Check';
    assert.equal(mayCall({ kind: 'site', siteCode: 'PS1' }, check, 'PS1'), true);
    assert.equal(mayCall({ kind: 'site', siteCode: 'PS2' }, check, 'PS1'), false);
    assert.equal(mayCall({ kind: 'dp', dpId: 'PS1' }, check, 'PS1'), false);
  });
});
