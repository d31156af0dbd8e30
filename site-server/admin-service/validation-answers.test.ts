import assert from 'node:assert/strict';
import { answersWish, type ValidationRequest } from '../../shared/domain/validation-request.ts';
import type { CallContext } from '../../shared/rpc/conversation.ts';
import { joinKey, keySpaces } from '../../shared/state-store/key-space.ts';
import {
  openTestMachine,
  type TestMachine,
  TestSite,
} from '../distribution-manager/testing/test-site.ts';
import { ValidationAnswers } from './validation-answers.ts';

const dpId = 'PS1DP1';
const context: CallContext = {
  caller: { identity: { kind: 'admin', role: 'full', name: 'alice' }, address: '::1' },
  signal: new AbortController().signal,
};

describe('what administrators ask about validation (PKG-8)', () => {
  let machine: TestMachine;
  let site: TestSite;
  let packageId: string;
  let answers: ReturnType<ValidationAnswers['methods']>;

  beforeEach(async () => {
    machine = await openTestMachine();
    site = await TestSite.start(machine);
    const { clock } = machine;
    answers = new ValidationAnswers({
      ...{ ...site, clock, newUuid: () => '123e4567-e89b-42d3-a456-426614174000' },
      ownValidations: { request: async () => 'wish' },
    }).methods();
    await site.addDistributionPoint(dpId);
    packageId = await site.createPackage('v1');
    await site.settled();
    await site.distributionCommands.distribute({ packageId, dpIds: [dpId] });
    await site.settled();
    await site.complete(packageId, dpId);
    await site.settled();
  });
  afterEach(async () => {
    await site[Symbol.asyncDispose]();
    await machine[Symbol.asyncDispose]();
  });

  const asked = () =>
    site.store.records(keySpaces.validationRequests).get(joinKey(packageId, dpId));
  async function ask(noRepair: boolean): Promise<string> {
    const targets = { packageId, dpIds: [dpId], allDps: false, siteCodes: [], groupNames: [] };
    const request = { targets, noRepair, ownCopy: false, bytesPerSecond: '0' };
    const accepted = await answers.validatePackage(request, context);
    assert.deepEqual(accepted.dpIds, [dpId]);
    return accepted.wishId;
  }

  it('lets one wish answer those that wait, and brings again what one of them wanted', async () => {
    const first = await ask(false);
    const wishes = [first];
    for (let count = 0; count < 8; count++) wishes.push(await ask(true));
    const { wishId, repair } = (await asked()) as ValidationRequest;
    assert.equal(repair, true);
    for (const wish of wishes) assert.ok(answersWish(wishId, wish), wish);
  });

  it('takes over nothing from a wish that was acted on', async () => {
    await ask(false);
    const { wishId } = (await asked()) as ValidationRequest;
    const acted = site.store.records(keySpaces.actedValidations);
    const row = acted.put(joinKey(packageId, dpId, 'asked'), { wishId });
    await site.store.write([row], { sync: false });
    await ask(true);
    assert.equal((await asked())?.repair, false);
  });
});
