import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { type MetricFacts, metricRegister } from './metric-register.ts';
import { MetricRegistry } from './metric-registry.ts';

const page = new URL('../../../docs/metrics.md', import.meta.url);
const begin = '<!-- metrics -->\n';
const end = '<!-- end of metrics -->';
const agentWords = { site: 'site', dp: 'DP' } as const;
const facts = Object.entries<MetricFacts>(metricRegister);

function toTable(): string {
  const head = '| metric | of | type | unit | labels | meaning |\n|---|---|---|---|---|---|\n';
  const rows = facts.map(([name, { agents, type, unit, labels, meaning }]) => {
    const of = agents.map((agent) => agentWords[agent]).join(', ');
    const names = labels.map((label) => `\`${label}\``).join(', ');
    return `| \`${name}\` | ${of} | ${type} | ${unit} | ${names} | ${meaning} |\n`;
  });
  return `\n${head}${rows.join('')}\n`;
}

describe('docs/metrics.md', () => {
  it('has every metric of ours as the register has it, and no other (ADM-7)', async () => {
    const text = await readFile(page, 'utf8');
    const [start, stop] = [text.indexOf(begin) + begin.length, text.indexOf(end)];
    assert.ok(start >= begin.length && stop >= start);
    if (process.env.UPDATE_DOCS === '1') {
      await writeFile(page, text.slice(0, start) + toTable() + text.slice(stop));
      return;
    }
    assert.equal(text.slice(start, stop), toTable());
  });

  it('has every metric of the process, and no other', async function () {
    // prom-client has fewer of the process on other systems.
    if (process.platform !== 'linux') this.skip();
    const text = await readFile(page, 'utf8');
    const told = [...text.matchAll(/^\| `((?:process|nodejs)_\w+)` \|/gm)].map(([, name]) => name);
    const { names } = new MetricRegistry('site');
    const own = names.filter((name) => !name.startsWith('waybill_'));
    assert.deepEqual(told.toSorted(), own.toSorted());
  });

  it('names in its alert rules only metrics and labels there are', async () => {
    const text = await readFile(page, 'utf8');
    const rules = text.slice(text.indexOf('## Alerts'));
    const uses = [...rules.matchAll(/\b(waybill_\w+)(?:\{(\w+))?/g)];
    assert.ok(uses.length > 5);
    for (const [, name = '', label] of uses) {
      const [, found] = facts.find(([one]) => one === name) ?? [];
      assert.ok(found, name);
      if (label !== undefined) assert.ok(found.labels.includes(label), `${name}{${label}}`);
    }
  });
});

describe('the register of metrics', () => {
  it('names each as Prometheus names metrics: unit last, counters end in _total', () => {
    for (const [name, { type, unit }] of facts) {
      assert.match(name, /^waybill_[a-z_]+$/);
      assert.equal(name.endsWith('_total'), type === 'counter', name);
      const [, word] = /_(seconds|bytes)(_total)?$/.exec(name) ?? [];
      const [, isMeant] = /^(seconds|bytes)/.exec(unit) ?? [];
      assert.equal(word, isMeant, name);
    }
  });

  it('labels nothing by package, content, file or path: their number has no bound', () => {
    const labels = new Set(facts.flatMap(([, one]) => one.labels));
    const known = ['about', 'agent', 'certificate', 'direction', 'distribution_point', 'holder'];
    assert.deepEqual([...labels].toSorted(), [...known, 'neighbour', 'state', 'version', 'way']);
  });
});
