import assert from 'node:assert/strict';
import { WaybillError } from '../../shared/domain/errors.ts';
import { FakeAdmin } from './testing/fake-admin.ts';
import { runWaybill } from './testing/run-waybill.ts';
import { aSetting } from './testing/site-answers.ts';

describe('waybill settings (ADM-3, ADM-6)', () => {
  it('shows what is set, and what is configured where something else is', async () => {
    const set = aSetting({ name: 'pull-poll-delay', setValue: '10m', configuredValue: '1h' });
    const admin = new FakeAdmin().stream('listSettings', () => [aSetting(), set]);
    const { stdout } = await runWaybill('settings', { admin });
    assert.match(stdout, /packages-at-once +3 +1 to 50 +Packages/);
    assert.match(stdout, /pull-poll-delay +10m +1h +1 to 50/);
    const json = await runWaybill('settings show --json');
    assert.deepEqual(JSON.parse(json.stdout), [
      {
        ...{ name: 'packages-at-once', siteCode: 'PS1', value: '3', isSet: false },
        ...{ configured: '3', min: '1', max: '50' },
        description: 'Packages processed and sent to DPs at once.',
      },
    ]);
  });

  it('sets several of them, of another site', async () => {
    const line = 'settings set --site PS2 packages-at-once=5 pull-poll-delay=10m';
    const { admin, stdout } = await runWaybill(line);
    assert.deepEqual(admin.requestOf('setSettings'), {
      siteCode: 'PS2',
      changes: [
        { name: 'packages-at-once', value: '5' },
        { name: 'pull-poll-delay', value: '10m' },
      ],
    });
    assert.equal(stdout, 'At site PS1, packages-at-once is 5.\n');
  });

  it('resets some, or all', async () => {
    const admin = new FakeAdmin().answer('setSettings', () => ({ settings: [aSetting()] }));
    const one = await runWaybill('settings reset packages-at-once', { admin });
    const changes = [{ name: 'packages-at-once', value: '' }];
    assert.deepEqual(one.admin.requestOf('setSettings'), { siteCode: '', changes });
    assert.equal(one.stdout, 'At site PS1, packages-at-once is as configured there, 3.\n');
    const all = await runWaybill('settings reset --all');
    assert.deepEqual(all.admin.requestOf('setSettings'), { siteCode: '', changes });
  });

  it('says of all that are reset only what was set before', async () => {
    const name = 'pull-poll-delay';
    const unset = [aSetting(), aSetting({ name })];
    const reset = (known: readonly ReturnType<typeof aSetting>[], siteCode = 'PS1') => {
      const admin = new FakeAdmin()
        .stream('listSettings', () => [...known])
        .answer('setSettings', () => ({ settings: unset.map((row) => ({ ...row, siteCode })) }));
      return runWaybill('settings reset --all', { admin });
    };
    const one = await reset([aSetting(), aSetting({ name, setValue: '10m' })]);
    assert.equal(one.stdout, 'At site PS1, pull-poll-delay is as configured there, 3.\n');
    const none = await reset(unset);
    assert.equal(none.stdout, 'No setting was set: all are as configured.\n');
    const elsewhere = await reset(unset, 'PS2');
    assert.match(elsewhere.stdout, /^At site PS2, packages.*\nAt site PS2, pull.*\n$/);
  });

  for (const [line, refusal] of [
    ['settings set packages-at-once', /<assignment>: expected NAME=VALUE such as/],
    ['settings set packages-at-once=', /expected NAME=VALUE/],
    ['settings set =5', /expected NAME=VALUE/],
    ['settings reset', /expected names of settings, or --all/],
    ['settings reset sends-at-once --all', /expected names of settings, or --all/],
  ] as const) {
    it(`refuses "${line}"`, async () => {
      const { exitCode, stderr, admin } = await runWaybill(line);
      assert.equal(exitCode, 2);
      assert.match(stderr, refusal);
      assert.deepEqual(admin.calls, []);
    });
  }

  it('says what was meant when the site refuses', async () => {
    const remedy = 'Did you mean it?';
    const facts = { field: 'changes', expected: 'a name', actual: '"x"', remedy };
    const admin = new FakeAdmin().answer('setSettings', () => {
      throw new WaybillError({ code: 'REQUEST_INVALID', ...facts });
    });
    const { exitCode, stderr } = await runWaybill('settings set x=1', { admin });
    assert.equal(exitCode, 1);
    assert.match(stderr, /<name=value>: expected a name, got "x"\. Did you mean it\?/);
  });
});
