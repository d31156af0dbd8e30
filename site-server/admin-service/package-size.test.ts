import assert from 'node:assert/strict';
import { isErrorWithCode } from '../../shared/domain/errors.ts';
import { requestLimits } from '../../shared/domain/request-limits.ts';
import { rowBytesMax } from '../replication-manager/replication-config.ts';
import { parseRow } from '../replication-manager/row-schemas.ts';
import { testPackage } from '../replication-manager/testing/random-edits.ts';
import { requirePackageFits } from './package-size.ts';

describe('size of a package', () => {
  const { properties } = testPackage('PS100001', 'x');
  const programs = Array.from({ length: requestLimits.programCountMax }, (_, index) => {
    return { name: `${index}`, commandLine: 'c'.repeat(requestLimits.commandLineCharsMax) };
  });

  it('takes the largest programs, and refuses them with the largest icon or wide characters', () => {
    requirePackageFits({ ...properties, programs }, ['/a']);
    const isRefused = (error: unknown) => isErrorWithCode(error, 'REQUEST_INVALID');
    const iconBase64 = 'A'.repeat(requestLimits.iconBytesMax);
    assert.throws(() => requirePackageFits({ ...properties, programs, iconBase64 }, []), isRefused);
    const wide = programs.map((program) => ({ ...program, commandLine: 'ü'.repeat(8_191) }));
    assert.throws(() => requirePackageFits({ ...properties, programs: wide }, []), isRefused);
  });

  it('leaves room in a replicated row for all that the site adds (REP-1)', () => {
    const { programs: kept } = { programs };
    const room = requestLimits.packageBytesMax - Buffer.byteLength(JSON.stringify(kept));
    const paths = Array.from({ length: requestLimits.sourceCountMax }, () => {
      return `/${'p'.repeat(Math.floor(room / requestLimits.sourceCountMax) - 20)}`;
    });
    requirePackageFits({ ...properties, programs: kept }, paths);
    const hash = 'f'.repeat(64);
    const count = Number.MAX_SAFE_INTEGER;
    const content = {
      ...{ contentId: 'x'.repeat(256), contentHash: hash, signatureHash: hash },
      ...{ manifestBytes: count, signatureBytes: count, entryCount: count },
      ...{ fileCount: count, sizeBytes: count },
    };
    const sources = paths.map((directory) => ({
      ...{ directory, contentName: 'x'.repeat(255), content },
    }));
    const row = {
      ...testPackage('PS100001', 'x'),
      ...{ properties: { ...properties, programs: kept }, sources, reason: 'r'.repeat(4_096) },
    };
    const json = JSON.stringify(row);
    assert.ok(Buffer.byteLength(json) <= rowBytesMax, `${Buffer.byteLength(json)}`);
    assert.ok('value' in parseRow('published-packages', 'PS100001', json));
  });

  it('is kept to by other sites, too (REP-1, SEC-4)', () => {
    const packageId = 'PS100001';
    const definition = { packageId, sourceSiteCode: 'PS1', properties, directories: ['/a'] };
    const of = (programCount: number) => {
      const newer = Array.from({ length: programCount }, (_, index) => {
        return { name: `${index}`, commandLine: 'ü'.repeat(8_000) };
      });
      const row = { ...definition, properties: { ...properties, programs: newer } };
      return parseRow('package-definitions', packageId, JSON.stringify(row));
    };
    assert.ok('value' in of(60));
    assert.ok('refusal' in of(64));
  });
});
