import assert from 'node:assert/strict';
import type { ValidationReport } from '../../shared/domain/content-validation.ts';
import type { SitePackage } from '../../shared/domain/site-package.ts';
import { answersWish, validationRoundsMax } from '../../shared/domain/validation-request.ts';
import type { ValidationResult } from '../../shared/domain/validation-result.ts';
import { joinKey, keySpaces } from '../../shared/state-store/key-space.ts';
import { testProperties } from '../../shared/testing/test-library.ts';
import {
  openTestMachine,
  type TestMachine,
  TestSite,
} from '../distribution-manager/testing/test-site.ts';
import { OwnValidations } from './own-validations.ts';

const packageId = 'CS100001';
const parent = { siteCode: 'CS1', address: 'CS1:8530' };

/** Of site CS1; this is PS1. */
const foreign = {
  ...{ packageId, properties: testProperties, sourceSiteCode: 'CS1', sourceVersion: 2 },
  ...{ packageHash: 'h2', state: 'published', reason: '', sourceUnchanged: false },
  ...{ acceptedRequestCount: 0, handledRequestCount: 0, createdAtMs: 0, updatedAtMs: 0 },
  ...{ awaitedVersion: 2, sources: [] },
} as unknown as SitePackage;

const sound: ValidationReport = {
  ...{ heldVersion: 2, heldHash: 'h2', fileCount: 12, files: [], alsoUsedBy: [] },
  ...{ damagedCount: 0, missingCount: 0, mendedCount: 0 },
  ...{ damagedDeltaCount: 0, damagedManifestCount: 0 },
};
const unsound: ValidationReport = { ...sound, damagedCount: 2, missingCount: 1 };

describe('Validation of the copy of a site that does not publish the package (PKG-8)', () => {
  let machine: TestMachine;
  let site: TestSite;
  let validations: OwnValidations;
  /** What the next looks find; the last one again and again. */
  let reports: ValidationReport[];
  /** What the source site was told. */
  let told: { readonly reason: string; readonly isToCome: boolean }[];
  let isToCome: boolean;
  /** Looks that have begun; none ends before this. */
  let validating: number;
  let held: Promise<void>;

  beforeEach(async () => {
    machine = await openTestMachine();
    site = await TestSite.start(machine, { own: { siteCode: 'PS1', kind: 'primary', parent } });
    const { packages, notifier, status } = site;
    const { store, clock, log } = machine;
    await store.write(packages.put(foreign), { sync: false });
    told = [];
    isToCome = false;
    validating = 0;
    held = Promise.resolve();
    validations = new OwnValidations({
      ...{ store, notifier, packages, status, clock, siteCode: 'PS1', logger: log.logger },
      validation: {
        validate: async function* () {
          validating += 1;
          await held;
          const report = (reports.length > 1 ? reports.shift() : reports[0]) ?? sound;
          yield { kind: 'report', report } as const;
        },
      },
      contents: {
        damaged: async (_, damage) => {
          told.push(damage);
          isToCome = damage.isToCome;
          return [];
        },
        isToCome: async () => isToCome,
      },
    });
    await validations.start();
  });

  afterEach(async () => {
    await validations.stop();
    await site[Symbol.asyncDispose]();
    await machine[Symbol.asyncDispose]();
  });

  const results = () => machine.store.records(keySpaces.validationResults);
  const found = () => results().get(joinKey(packageId, 'PS1', ''));
  const open = () => machine.store.records(keySpaces.ownLibraryValidations).get(packageId);

  async function resultOf(isSo: (result: ValidationResult) => boolean): Promise<ValidationResult> {
    await site.until(async () => {
      const result = await found();
      return result !== undefined && isSo(result);
    });
    return (await found()) as ValidationResult;
  }

  const order = { uuid: 'first', repair: true, bytesPerSecond: 0 };

  it('waits until its source site has sent it again, looks once more, and tells of both', async () => {
    reports = [unsound, sound];
    await validations.request(packageId, order);
    await resultOf(({ damagedCount }) => damagedCount === 2);
    await machine.clock.advance(10_000);
    assert.equal((await open())?.round, 1, 'it is not looked at while it is to come');
    assert.deepEqual(told, [
      { reason: 'the copy of site PS1 is damaged: 2 files damaged, 1 missing', isToCome: true },
    ]);
    isToCome = false;
    await machine.clock.advance(2_000);
    const result = await resultOf(({ repairedCount }) => repairedCount > 0);
    assert.deepEqual([result.damagedCount, result.missingCount, result.repairedCount], [2, 1, 3]);
    assert.equal(await open(), undefined);
  });

  it('goes on with what is asked for while it runs, which answers both', async () => {
    let release = () => {};
    held = new Promise((resolve) => {
      release = resolve;
    });
    reports = [unsound, unsound, sound];
    const first = await validations.request(packageId, order);
    await site.until(() => validating === 1);
    const again = { ...order, uuid: 'second', repair: false };
    const second = await validations.request(packageId, again);
    release();
    await site.until(async () => (await open())?.round === 1);
    const row = await open();
    assert.deepEqual([row?.wishId, row?.repair, told.length], [second, true, 2]);
    isToCome = false;
    await machine.clock.advance(2_000);
    const result = await resultOf(({ repairedCount }) => repairedCount > 0);
    assert.ok(answersWish(result.wishId, first) && answersWish(result.wishId, second));
    assert.equal(await open(), undefined);
  });

  it('only tells when it is told so, and says what brings it', async () => {
    reports = [unsound];
    await validations.request(packageId, { ...order, repair: false });
    const { failure = '' } = await resultOf(() => true);
    assert.equal(failure, '"waybill retry --package CS100001" brings it again from site CS1');
    assert.deepEqual(told[0]?.isToCome, false);
    await site.until(async () => (await open()) === undefined);
  });

  it('leaves what is damaged each time it has come to an administrator', async () => {
    reports = [unsound];
    await validations.request(packageId, order);
    for (let round = 1; round < validationRoundsMax; round++) {
      await site.until(async () => (await open())?.round === round);
      isToCome = false;
      await machine.clock.advance(2_000);
    }
    const { failure } = await resultOf((result) => result.failure !== undefined);
    assert.match(failure ?? '', /it came again from site CS1, and did not bring it back/);
    assert.equal(told.at(-1)?.isToCome, false);
  });

  it('is asked for once by however many redistributions, and anew where it would only tell', async () => {
    reports = [sound];
    assert.equal((await validations.mendingChanges(packageId, 'w1')).length, 1);
    const rows = machine.store.records(keySpaces.ownLibraryValidations);
    const wish = { wishId: 'wish', repair: true, bytesPerSecond: 0 };
    const row = { ...wish, packageId, serial: 1, afterRequestCount: 0 };
    await machine.store.write([rows.put(packageId, row)], { sync: false });
    assert.deepEqual(await validations.mendingChanges(packageId, 'w2'), []);
    await machine.store.write([rows.put(packageId, { ...row, repair: false })], { sync: false });
    assert.equal((await validations.mendingChanges(packageId, 'w3')).length, 1);
    validations.look();
    await resultOf(() => true);
  });
});
