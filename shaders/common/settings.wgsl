// The settings of a replica (kernels::SETTING_*), which the kernel binds as `settings`; their stride stands in its parameters.
const SEED: u32 = 0u;
const REG_LAMBDA: u32 = 1u;
const REG_PSI: u32 = 2u;
const RATE: u32 = 3u;

fn setting_word(replica: u32, which: u32) -> u32 {
    return settings[replica * p.settings_stride + which];
}

fn setting(replica: u32, which: u32) -> f32 {
    return bitcast<f32>(setting_word(replica, which));
}
