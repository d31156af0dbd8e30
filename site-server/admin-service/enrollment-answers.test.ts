import assert from 'node:assert/strict';
import type { Administrator } from '../../shared/domain/administrator.ts';
import type { KnownCertificate } from '../../shared/domain/known-certificate.ts';
import type { EnrollmentCommands } from '../enrollment/enrollment-commands.ts';
import { EnrollmentAnswers } from './enrollment-answers.ts';

function anAdministrator(name: string): Administrator {
  const identityUri = `waybill://admin/operator/${name}`;
  return { name, identityUri, createdAtMs: 1, createdBy: '', enrolledAtMs: 2 };
}

function aCertificate(holder: string, revokedAtMs?: number): KnownCertificate {
  return {
    ...{ kind: 'identity', holder, identityUri: '', issuerSiteCode: 'PS1', rootKeyId: '' },
    ...{ notBeforeMs: 2, notAfterMs: 9, isOnNewestRoot: true, reason: '', toldAtMs: 0 },
    ...(revokedAtMs !== undefined && { revoked: { revokedAtMs, siteCode: 'PS1', holder } }),
  };
}

describe('what administrators are told of each other (SEC-2)', () => {
  it('is whose certificate counts no more', async () => {
    const commands: Pick<EnrollmentCommands, 'listAdministrators'> = {
      listAdministrators: async function* () {
        yield* ['alice', 'bob', 'carol'].map(anAdministrator);
      },
    };
    const unasked = {} as never;
    const answers = new EnrollmentAnswers({
      enrollmentCommands: commands as EnrollmentCommands,
      certificates: {
        known: async () => [aCertificate('admin/alice'), aCertificate('admin/bob', 7)],
      },
      ...{ sites: unasked, hierarchy: unasked, scopes: unasked },
    });
    const told: string[] = [];
    for await (const one of answers.methods().listAdministrators()) {
      told.push(`${one.name} ${one.revokedAtMs}`);
    }
    assert.deepEqual(told, ['alice 0', 'bob 7', 'carol 0']);
  });
});
