// @ts-check
/** How many frames a second the page draws, and what they cost. */

/** Milliseconds that a figure is the mean of. */
const PERIOD = 1000;

export class FrameMeter {
  /** @param {number} now milliseconds */
  constructor(now) {
    this.since = now;
    this.frames = 0;
    this.sum = 0;
    this.most = 0;
    /** of the last period: displayed frames a second */
    this.fps = 0;
    /** of the last period: ms of work for a displayed frame, the mean and the largest */
    this.meanWork = 0;
    this.longestWork = 0;
  }

  /** @param {number} now milliseconds @param {number} work milliseconds spent on this frame */
  drawn(now, work) {
    this.frames += 1;
    this.sum += work;
    this.most = Math.max(this.most, work);
    const elapsed = now - this.since;
    if (elapsed < PERIOD) return;
    this.fps = (this.frames * 1000) / elapsed;
    this.meanWork = this.sum / this.frames;
    this.longestWork = this.most;
    this.frames = this.sum = this.most = 0;
    this.since = now;
  }
}
