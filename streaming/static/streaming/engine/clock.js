// @ts-check
/**
 * The local playhead. It runs on the display's clock, is steered towards the server's playhead so
 * gently that nobody sees it, and stands still where there is nothing to show.
 */

/** Largest part by which the clock runs faster or slower to come level with the server. */
const SLEW = 0.08;
/** Seconds of error, at 1x, beyond which the clock jumps instead of being steered. */
const JUMP_SECONDS = 1.5;
/** Milliseconds in which an error is corrected. */
const SETTLE = 1000;

export class PlaybackClock {
  /** @param {number} frameRate frames per second of recorded time */
  constructor(frameRate) {
    this.frameRate = frameRate;
    /** the playhead, in frames, with a fraction */
    this.position = 0;
    this.playing = false;
    this.speed = 1;
    /** the server's playhead: frame at a time of the local clock */
    this.anchorFrame = 0;
    this.anchorTime = 0;
    this.last = 0;
    /** milliseconds for which the playhead has been waiting for data */
    this.stalled = 0;
  }

  /** Frames per millisecond of wall time, signed. */
  get rate() {
    return (this.speed * this.frameRate) / 1000;
  }

  /**
   * Put the playhead somewhere at once.
   * @param {number} frame @param {number} now milliseconds
   */
  jump(frame, now) {
    this.position = frame;
    this.anchorFrame = frame;
    this.anchorTime = now;
    this.last = now;
    this.stalled = 0;
  }

  /**
   * Change speed or start and stop from where the playhead is.
   * @param {boolean} playing @param {number} speed @param {number} now
   */
  set(playing, speed, now) {
    this.playing = playing;
    this.speed = speed;
    this.anchorFrame = this.position;
    this.anchorTime = now;
    this.last = now;
    this.stalled = 0;
  }

  /**
   * The server says where its playhead is.
   * @param {number} frame at `now` @param {number} now milliseconds
   */
  follow(frame, now) {
    this.anchorFrame = frame;
    this.anchorTime = now;
  }

  /** Where the server's playhead is. @param {number} now */
  target(now) {
    return this.playing ? this.anchorFrame + this.rate * (now - this.anchorTime) : this.anchorFrame;
  }

  /**
   * Let time pass.
   * @param {number} now milliseconds
   * @param {number} limit the farthest frame that can be shown in the playing direction
   * @returns {number} the playhead
   */
  advance(now, limit) {
    const elapsed = Math.max(0, now - this.last);
    this.last = now;
    if (!this.playing) return this.position;
    const direction = this.speed < 0 ? -1 : 1;
    const step = this.rate * elapsed;
    const error = this.target(now) - (this.position + step);
    let next = this.position + step;
    const jump = JUMP_SECONDS * this.frameRate * Math.max(1, Math.abs(this.speed));
    if (Math.abs(error) > jump) {
      // The limit below keeps it from jumping to frames that are not held.
      next = this.target(now);
    } else {
      const most = SLEW * Math.abs(step);
      const wanted = error * Math.min(1, elapsed / SETTLE);
      next += Math.max(-most, Math.min(most, wanted));
    }
    if ((next - limit) * direction > 0) {
      next = (limit - this.position) * direction > 0 ? limit : this.position;
      this.stalled += elapsed;
    } else {
      this.stalled = 0;
    }
    this.position = next;
    return next;
  }
}
