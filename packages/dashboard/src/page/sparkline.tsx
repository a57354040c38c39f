/** The last minute of a row, drawn on a canvas: it changes each second, and is no part of the document. */
import type { VNode } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { SPARK_SIZE, type Spark } from './spark.js';
import { colour } from './theme.js';

const WIDTH = 116;
const HEIGHT = 28;

/** `at` is when it was last drawn anew. */
export function Sparkline({ spark, at }: { readonly spark: Spark; readonly at: number }): VNode {
  const canvas = useRef<HTMLCanvasElement>(null);
  const drawn = useRef(false);
  useEffect(() => {
    if (canvas.current === null || (!spark.busy && drawn.current)) return;
    draw(canvas.current, spark);
    drawn.current = true;
  }, [spark, at]);
  return <canvas ref={canvas} class="spark" />;
}

function draw(canvas: HTMLCanvasElement, { good, bad }: Spark): void {
  const scale = devicePixelRatio || 1;
  const width = WIDTH * scale;
  const height = HEIGHT * scale;
  if (canvas.width !== width) {
    canvas.width = width;
    canvas.height = height;
  }
  const context = canvas.getContext('2d');
  if (context === null) return;
  context.clearRect(0, 0, width, height);
  let most = 1;
  for (let place = 0; place < SPARK_SIZE; place++)
    most = Math.max(most, (good[place] ?? 0) + (bad[place] ?? 0));
  const step = width / SPARK_SIZE;
  const bar = Math.max(1, step - scale * 0.5);
  const colours = [colour('good-line'), colour('bad-line')] as const;
  context.fillStyle = colour('line');
  context.fillRect(0, height - scale, width, scale);
  for (let place = 0; place < SPARK_SIZE; place++) {
    let base = height;
    [bad[place] ?? 0, good[place] ?? 0].forEach((value, index) => {
      if (value <= 0) return;
      const tall = Math.max(scale, (value / most) * (height - scale));
      context.fillStyle = index === 0 ? colours[1] : colours[0];
      context.fillRect(place * step, base - tall, bar, tall);
      base -= tall;
    });
  }
}
