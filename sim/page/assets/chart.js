// A data_visualization block as a drawing, and as a table for those who do not see it.

import { h } from './dom.js';

const WIDE = 600;
const HIGH = 210;
const EDGE = { left: 44, right: 28, top: 12, bottom: 28 };

// chart draws lines, bars, areas and pies.
export function chart(block) {
  const spec = block.chart ?? {};
  const isPie = spec.type === 'pie';
  const labels = isPie ? (spec.segments ?? []).map((s) => s.label) : (spec.axis_config?.categories ?? []);
  const series = isPie ? [{ name: 'Value', data: spec.segments ?? [] }] : (spec.series ?? []);
  const rows = series.map((s) => ({ name: s.name, values: labels.map((l, i) => (isPie ? s.data[i]?.value : s.data?.find((p) => p.label === l)?.value)) }));
  return h('figure', { class: 'chart' },
    h('figcaption', null, block.title),
    h('div', { 'aria-hidden': 'true' }, isPie ? pie(labels, rows[0].values) : axes(spec, labels, rows),
      rows.length > 1 || isPie ? legend(isPie ? labels : rows.map((r) => r.name)) : null),
    h('table', { class: 'hidden' },
      h('caption', null, `${block.title}: the numbers of this ${spec.type} chart`),
      h('thead', null, h('tr', null, h('td'), rows.map((r) => h('th', { scope: 'col' }, r.name)))),
      h('tbody', null, labels.map((l, i) => h('tr', null, h('th', { scope: 'row' }, l), rows.map((r) => h('td', null, r.values[i] ?? 'none')))))));
}

function legend(names) {
  return h('ul', { class: 'legend' }, names.map((name, i) => h('li', { class: `series${i % 6}` }, h('span', { class: 'swatch' }), name)));
}

// scale picks round ticks that hold every value.
function scale(values) {
  const known = values.filter((v) => typeof v === 'number');
  let low = Math.min(0, ...known);
  let high = Math.max(0, ...known);
  if (low === high) high = low + 1;
  const rough = (high - low) / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  let step = [1, 2, 2.5, 5, 10].map((m) => m * power).find((s) => s >= rough) ?? 10 * power;
  if (known.every(Number.isInteger) && step < 1) step = 1;
  low = Math.floor(low / step) * step;
  high = Math.ceil(high / step) * step;
  const ticks = [];
  for (let v = low; v <= high + step / 2; v += step) ticks.push(Number(v.toPrecision(12)));
  return { low, high, ticks };
}

function short(v) {
  const abs = Math.abs(v);
  if (abs >= 1e6) return `${Number((v / 1e6).toPrecision(3))}M`;
  if (abs >= 1e4) return `${Number((v / 1e3).toPrecision(3))}k`;
  return String(Number(v.toPrecision(4)));
}

function axes(spec, labels, rows) {
  const { low, high, ticks } = scale(rows.flatMap((r) => r.values));
  const width = WIDE - EDGE.left - EDGE.right;
  const height = HIGH - EDGE.top - EDGE.bottom;
  const bars = spec.type === 'bar';
  const slot = width / Math.max(1, bars ? labels.length : labels.length - 1 || 1);
  const x = (i) => EDGE.left + (bars ? (i + 0.5) * slot : labels.length === 1 ? width / 2 : i * slot);
  const y = (v) => EDGE.top + height * (1 - (v - low) / (high - low));
  const every = Math.ceil(labels.length / 10);
  const out = [
    ticks.map((t) => [
      h('line', { class: t === 0 ? 'zero' : 'grid', x1: EDGE.left, x2: WIDE - EDGE.right, y1: y(t), y2: y(t) }),
      h('text', { class: 'tick', x: EDGE.left - 8, y: y(t) + 4, 'text-anchor': 'end' }, short(t)),
    ]),
    labels.map((l, i) => (labels.length - 1 - i) % every ? null :
      h('text', { class: 'tick', x: x(i), y: HIGH - 8, 'text-anchor': 'middle' }, l)),
  ];
  rows.forEach((row, n) => {
    const known = row.values.map((v, i) => [i, v]).filter(([, v]) => typeof v === 'number');
    const tip = (i, v) => h('title', null, `${labels[i]}: ${row.name} ${v}`);
    if (bars) {
      const w = Math.min(46, (slot * 0.72) / rows.length);
      for (const [i, v] of known) {
        out.push(h('rect', { class: `bar series${n % 6}`, x: x(i) - (w * rows.length) / 2 + n * w + 0.5, y: Math.min(y(v), y(0)), width: Math.max(1, w - 1), height: Math.max(1, Math.abs(y(v) - y(0))), rx: 2 }, tip(i, v)));
      }
      return;
    }
    const points = known.map(([i, v]) => `${x(i).toFixed(1)},${y(v).toFixed(1)}`);
    if (spec.type === 'area' && points.length > 1) {
      out.push(h('polygon', { class: `area series${n % 6}`, points: `${x(known[0][0])},${y(0)} ${points.join(' ')} ${x(known.at(-1)[0])},${y(0)}` }));
    }
    out.push(h('polyline', { class: `line series${n % 6}`, points: points.join(' ') }));
    for (const [i, v] of known) out.push(h('circle', { class: `dot series${n % 6}`, cx: x(i), cy: y(v), r: 3.2 }, tip(i, v)));
  });
  const config = spec.axis_config ?? {};
  return [
    config.y_label ? h('p', { class: 'axis' }, config.y_label) : null,
    h('svg', { viewBox: `0 0 ${WIDE} ${HIGH}`, class: 'plot' }, out),
    config.x_label ? h('p', { class: 'axis end' }, config.x_label) : null,
  ];
}

function pie(labels, values) {
  const sum = values.reduce((a, v) => a + (v > 0 ? v : 0), 0) || 1;
  let from = 0;
  const r = 80;
  const at = (part) => [100 + r * Math.sin(2 * Math.PI * part), 100 - r * Math.cos(2 * Math.PI * part)].map((v) => v.toFixed(2)).join(' ');
  return h('svg', { viewBox: '0 0 200 200', class: 'plot pie' }, values.map((v, i) => {
    const part = Math.max(0, v) / sum;
    const tip = h('title', null, `${labels[i]}: ${v} (${Math.round(part * 100)} %)`);
    const start = at(from);
    from += part;
    if (part > 0.9999) return h('circle', { class: `bar series${i % 6}`, cx: 100, cy: 100, r }, tip);
    return h('path', { class: `bar slice series${i % 6}`, d: `M100 100 L${start} A${r} ${r} 0 ${part > 0.5 ? 1 : 0} 1 ${at(from)} Z` }, tip);
  }));
}
