import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { z } from 'zod';
import { isErrorWithCode } from '../domain/errors.ts';
import { TemporaryDirectory } from '../testing/temporary-directory.ts';
import { loadConfig } from './load-config.ts';

const schema = z.strictObject({
  siteCode: z.string().regex(/^[A-Z0-9]{3}$/, 'three of A-Z and 0-9'),
  logLevel: z.enum(['info', 'debug']).default('info'),
  contentLibrary: z
    .strictObject({
      directory: z.string().default('library'),
      graceMs: z.int().min(0).max(1_000_000).default(1_000),
      sources: z.array(z.string()).default([]),
      isVerified: z.boolean().default(true),
    })
    .prefault({}),
});

describe('loadConfig', () => {
  let directory: TemporaryDirectory;
  before(async () => {
    directory = await TemporaryDirectory.create();
  });
  after(() => directory[Symbol.asyncDispose]());

  it('takes flags before the environment, that before the file, that before defaults', async () => {
    const config = await load({
      file: 'siteCode: AAA\ncontentLibrary: { directory: from-file, graceMs: 1, sources: [a] }',
      environment: {
        WAYBILL_TEST_CONTENT_LIBRARY__GRACE_MS: '2',
        WAYBILL_TEST_SITE_CODE: 'BBB',
        OTHER: 'not ours',
      },
      flags: { siteCode: 'CCC', logLevel: undefined },
    });
    assert.deepEqual(config, {
      siteCode: 'CCC',
      logLevel: 'info',
      contentLibrary: { directory: 'from-file', graceMs: 2, sources: ['a'], isVerified: true },
    });
  });

  it('refuses a setting that is no YAML either, such as a list within itself', async () => {
    for (const text of ['&a [*a, *a]', '[*b]', '[', '!!js x']) {
      await assert.rejects(
        load({
          file: 'siteCode: AAA',
          environment: { WAYBILL_TEST_CONTENT_LIBRARY__SOURCES: text },
          flags: { 'contentLibrary.graceMs': text },
        }),
        (error) => isErrorWithCode(error, 'CONFIG_INVALID') && error.message.includes('graceMs'),
        text,
      );
    }
  });

  it('reads texts as what the schema wants: a text that looks like a number stays one', async () => {
    const config = await load({
      environment: {
        WAYBILL_TEST_SITE_CODE: '123',
        WAYBILL_TEST_CONTENT_LIBRARY__SOURCES: '[a, b]',
        WAYBILL_TEST_CONTENT_LIBRARY__IS_VERIFIED: 'false',
      },
      flags: { 'contentLibrary.graceMs': '7', 'contentLibrary.directory': '5' },
    });
    assert.equal(config.siteCode, '123');
    const expected = { directory: '5', graceMs: 7, sources: ['a', 'b'], isVerified: false };
    assert.deepEqual(config.contentLibrary, expected);
  });

  it('tells of all that is wrong at once, with path, value and what was expected', async () => {
    const error = await failure({
      file: 'siteCode: abc\ncontentLibary: {}\ncontentLibrary: { graceMs: -5, sources: [1], age: 3 }',
      environment: { WAYBILL_TEST_CONTENT_LIBRARY__IS_VERIFIED: 'perhaps' },
      flags: { logLevel: 'loud' },
    });
    assert.deepEqual(error.split('\n').slice(1).sort(), [
      '  contentLibary (from line 2): unknown key "contentLibary", did you mean "contentLibrary"?',
      '  contentLibrary.age (from line 3): unknown key "age"; expected one of directory, graceMs, sources, isVerified',
      '  contentLibrary.graceMs (from line 3): expected at least 0, got -5',
      '  contentLibrary.isVerified (from WAYBILL_TEST_CONTENT_LIBRARY__IS_VERIFIED): expected boolean, got "perhaps"',
      '  contentLibrary.sources.0: expected string, got 1',
      '  logLevel (from --logLevel): expected one of "info", "debug", got "loud"',
      '  siteCode (from line 1): expected three of A-Z and 0-9, got "abc"',
    ]);
  });

  it('tells of the first 20 when much is wrong, and how many more there are', async () => {
    await assert.rejects(load({ file: 'siteCode: AAA\n'.repeat(26) }), (error) => {
      assert.ok(error instanceof Error);
      const lines = error.message.split('\n').slice(1);
      assert.equal(lines.length, 21);
      assert.deepEqual([lines[0], lines[20]], ['  line 2: expected siteCode once', '  and 5 more']);
      return true;
    });
  });

  it('names the file, and what is missing in it', async () => {
    const error = await failure({ file: '' });
    assert.match(
      error,
      /^Configuration .*site\.yaml is not valid:\n {2}siteCode: expected string, got nothing$/,
    );
  });

  const refused: [name: string, file: string, told: RegExp][] = [
    ['what is not YAML', 'siteCode: [', /line 1: expected YAML, got /],
    ['a key given twice', 'siteCode: AAA\nsiteCode: BBB', /line 2: expected siteCode once/],
    ['a list', '- a', /expected keys with values, got \["a"\]/],
    [
      'a prototype',
      'siteCode: AAA\n__proto__: { logLevel: debug }',
      /__proto__ .*unknown key "__proto__"; expected one of/,
    ],
  ];
  for (const [name, file, told] of refused) {
    it(`refuses ${name}`, async () => {
      assert.match(await failure({ file }), told);
    });
  }

  it('refuses a setting of more levels than any has, however many', async () => {
    for (const count of [17, 30_000]) {
      const error = await failure({
        file: 'siteCode: AAA',
        flags: { [Array.from({ length: count }, () => 'a').join('.')]: 1 },
        environment: { WAYBILL_TEST_CONTENT_LIBRARY__GRACE_MS: 'many' },
      });
      assert.match(
        error,
        new RegExp(`--a\\.a\\..{1,80}… *: expected a name of at most 16 levels, got ${count}`),
      );
      assert.ok(error.length < 400);
    }
  });

  it('refuses a file that is not there', async () => {
    const sources = { environment: {}, environmentPrefix: 'WAYBILL_TEST_', flags: {} };
    const load = loadConfig({ schema, file: directory.join('none.yaml'), ...sources });
    await assert.rejects(load, (error) => {
      assert(isErrorWithCode(error, 'CONFIG_INVALID'));
      assert.match(error.message, /expected a YAML file that can be read; there is no such file/);
      return true;
    });
  });

  it('gives a configuration that nobody can change', async () => {
    const config = await load({ flags: { siteCode: 'AAA' } });
    assert.throws(() => Object.assign(config.contentLibrary, { graceMs: 1 }), TypeError);
    assert.throws(() => (config.contentLibrary.sources as string[]).push('x'), TypeError);
  });

  async function load(given: {
    file?: string;
    environment?: Record<string, string>;
    flags?: Record<string, unknown>;
  }) {
    const file = given.file === undefined ? undefined : directory.join('site.yaml');
    if (file) await writeFile(file, given.file ?? '');
    const environment = given.environment ?? {};
    const flags = given.flags ?? {};
    return loadConfig({ schema, file, environment, environmentPrefix: 'WAYBILL_TEST_', flags });
  }

  async function failure(given: Parameters<typeof load>[0]): Promise<string> {
    try {
      await load(given);
    } catch (error) {
      assert(isErrorWithCode(error, 'CONFIG_INVALID'));
      return error.message;
    }
    return assert.fail('The configuration was taken');
  }
});
