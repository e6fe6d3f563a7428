// The emoji that people and reports use, by Slack's short names. Any other stays :as_written:.

const EMOJI = {
  white_check_mark: '✅', heavy_check_mark: '✔️', ballot_box_with_check: '☑️', x: '❌', warning: '⚠️', question: '❓', grey_question: '❔',
  exclamation: '❗', grey_exclamation: '❕', bangbang: '‼️', hourglass: '⌛', hourglass_flowing_sand: '⏳', rotating_light: '🚨', information_source: 'ℹ️',
  no_entry: '⛔', no_entry_sign: '🚫', rocket: '🚀', large_green_circle: '🟢', large_yellow_circle: '🟡', large_blue_circle: '🔵', large_orange_circle: '🟠',
  red_circle: '🔴', white_circle: '⚪', black_circle: '⚫', white_large_square: '⬜', black_large_square: '⬛', heavy_minus_sign: '➖', heavy_plus_sign: '➕',
  bulb: '💡', lock: '🔒', unlock: '🔓', key: '🔑', tada: '🎉', moneybag: '💰', money_with_wings: '💸', dollar: '💵', arrow_right: '➡️', arrow_left: '⬅️',
  arrow_up: '⬆️', arrow_down: '⬇️', arrow_upper_right: '↗️', arrow_lower_right: '↘️', chart_with_upwards_trend: '📈', chart_with_downwards_trend: '📉',
  bar_chart: '📊', memo: '📝', pencil: '✏️', clipboard: '📋', calendar: '📅', clock1: '🕐', alarm_clock: '⏰', stopwatch: '⏱️', mag: '🔍', link: '🔗',
  paperclip: '📎', pushpin: '📌', round_pushpin: '📍', bell: '🔔', no_bell: '🔕', mega: '📣', loudspeaker: '📢', speech_balloon: '💬', thought_balloon: '💭',
  eyes: '👀', wave: '👋', thumbsup: '👍', '+1': '👍', thumbsdown: '👎', '-1': '👎', ok_hand: '👌', clap: '👏', raised_hands: '🙌', pray: '🙏', muscle: '💪',
  point_right: '👉', point_left: '👈', point_up: '☝️', point_down: '👇', raised_hand: '✋', fire: '🔥', star: '⭐', sparkles: '✨', zap: '⚡', boom: '💥',
  heart: '❤️', green_heart: '💚', blue_heart: '💙', broken_heart: '💔', smile: '😄', slightly_smiling_face: '🙂', simple_smile: '🙂', grin: '😁', joy: '😂',
  thinking_face: '🤔', sweat_smile: '😅', sob: '😭', cry: '😢', scream: '😱', sunglasses: '😎', robot_face: '🤖', ghost: '👻', skull: '💀', poop: '💩',
  computer: '💻', gear: '⚙️', wrench: '🔧', hammer: '🔨', hammer_and_wrench: '🛠️', construction: '🚧', package: '📦', truck: '🚚', ship: '🚢', ambulance: '🚑',
  shield: '🛡️', medal: '🏅', trophy: '🏆', dart: '🎯', traffic_light: '🚦', vertical_traffic_light: '🚦', checkered_flag: '🏁', triangular_flag_on_post: '🚩',
  coffee: '☕', beer: '🍺', cake: '🍰', gift: '🎁', sunny: '☀️', cloud: '☁️', umbrella: '☔', snowflake: '❄️', moon: '🌔', crescent_moon: '🌙', full_moon: '🌕',
  night_with_stars: '🌃', sunrise: '🌅', recycle: '♻️', repeat: '🔁', arrows_counterclockwise: '🔄', heavy_exclamation_mark: '❗', black_square_button: '🔲',
  stop_sign: '🛑', octagonal_sign: '🛑', double_vertical_bar: '⏸️', arrow_forward: '▶️', black_square_for_stop: '⏹️', leftwards_arrow_with_hook: '↩️', seedling: '🌱',
};

// emoji replaces the short names in a text.
export function emoji(text) {
  return text.replace(/:([a-z0-9_+-]+)(?:::skin-tone-\d)?:/g, (all, name) => (Object.hasOwn(EMOJI, name) ? EMOJI[name] : all));
}
