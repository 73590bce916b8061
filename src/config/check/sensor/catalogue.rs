//! The cyclic redundancy checks of the CRC catalogue (Greg Cook, "Catalogue of parametrised CRC
//! algorithms"), as the crate `crc` has it, by name.

use crc::Algorithm;

use crate::model::sensor::Crc;

/// One entry, in a width that holds all of them.
struct Entry {
    name: &'static str,
    width: u8,
    poly: u64,
    init: u64,
    reflect_in: bool,
    reflect_out: bool,
    xor_out: u64,
    /// Of "123456789".
    #[cfg(test)]
    check: u64,
}

macro_rules! entry {
    ($name:literal, $algorithm:ident) => {{
        let Algorithm { width, poly, init, refin, refout, xorout, check: _, .. } = crc::$algorithm;
        Entry {
            name: $name,
            width,
            poly: poly as u64,
            init: init as u64,
            reflect_in: refin,
            reflect_out: refout,
            xor_out: xorout as u64,
            #[cfg(test)]
            check: crc::$algorithm.check as u64,
        }
    }};
}

static CATALOGUE: [Entry; 112] = [
    entry!("crc-10/atm", CRC_10_ATM),
    entry!("crc-10/cdma2000", CRC_10_CDMA2000),
    entry!("crc-10/gsm", CRC_10_GSM),
    entry!("crc-11/flexray", CRC_11_FLEXRAY),
    entry!("crc-11/umts", CRC_11_UMTS),
    entry!("crc-12/cdma2000", CRC_12_CDMA2000),
    entry!("crc-12/dect", CRC_12_DECT),
    entry!("crc-12/gsm", CRC_12_GSM),
    entry!("crc-12/umts", CRC_12_UMTS),
    entry!("crc-13/bbc", CRC_13_BBC),
    entry!("crc-14/darc", CRC_14_DARC),
    entry!("crc-14/gsm", CRC_14_GSM),
    entry!("crc-15/can", CRC_15_CAN),
    entry!("crc-15/mpt1327", CRC_15_MPT1327),
    entry!("crc-16/arc", CRC_16_ARC),
    entry!("crc-16/cdma2000", CRC_16_CDMA2000),
    entry!("crc-16/cms", CRC_16_CMS),
    entry!("crc-16/dds-110", CRC_16_DDS_110),
    entry!("crc-16/dect-r", CRC_16_DECT_R),
    entry!("crc-16/dect-x", CRC_16_DECT_X),
    entry!("crc-16/dnp", CRC_16_DNP),
    entry!("crc-16/en-13757", CRC_16_EN_13757),
    entry!("crc-16/genibus", CRC_16_GENIBUS),
    entry!("crc-16/gsm", CRC_16_GSM),
    entry!("crc-16/ibm-3740", CRC_16_IBM_3740),
    entry!("crc-16/ibm-sdlc", CRC_16_IBM_SDLC),
    entry!("crc-16/iso-iec-14443-3-a", CRC_16_ISO_IEC_14443_3_A),
    entry!("crc-16/kermit", CRC_16_KERMIT),
    entry!("crc-16/lj1200", CRC_16_LJ1200),
    entry!("crc-16/m17", CRC_16_M17),
    entry!("crc-16/maxim-dow", CRC_16_MAXIM_DOW),
    entry!("crc-16/mcrf4xx", CRC_16_MCRF4XX),
    entry!("crc-16/modbus", CRC_16_MODBUS),
    entry!("crc-16/nrsc-5", CRC_16_NRSC_5),
    entry!("crc-16/opensafety-a", CRC_16_OPENSAFETY_A),
    entry!("crc-16/opensafety-b", CRC_16_OPENSAFETY_B),
    entry!("crc-16/profibus", CRC_16_PROFIBUS),
    entry!("crc-16/riello", CRC_16_RIELLO),
    entry!("crc-16/spi-fujitsu", CRC_16_SPI_FUJITSU),
    entry!("crc-16/t10-dif", CRC_16_T10_DIF),
    entry!("crc-16/teledisk", CRC_16_TELEDISK),
    entry!("crc-16/tms37157", CRC_16_TMS37157),
    entry!("crc-16/umts", CRC_16_UMTS),
    entry!("crc-16/usb", CRC_16_USB),
    entry!("crc-16/xmodem", CRC_16_XMODEM),
    entry!("crc-17/can-fd", CRC_17_CAN_FD),
    entry!("crc-21/can-fd", CRC_21_CAN_FD),
    entry!("crc-24/ble", CRC_24_BLE),
    entry!("crc-24/flexray-a", CRC_24_FLEXRAY_A),
    entry!("crc-24/flexray-b", CRC_24_FLEXRAY_B),
    entry!("crc-24/interlaken", CRC_24_INTERLAKEN),
    entry!("crc-24/lte-a", CRC_24_LTE_A),
    entry!("crc-24/lte-b", CRC_24_LTE_B),
    entry!("crc-24/openpgp", CRC_24_OPENPGP),
    entry!("crc-24/os-9", CRC_24_OS_9),
    entry!("crc-30/cdma", CRC_30_CDMA),
    entry!("crc-31/philips", CRC_31_PHILIPS),
    entry!("crc-32/aixm", CRC_32_AIXM),
    entry!("crc-32/autosar", CRC_32_AUTOSAR),
    entry!("crc-32/base91-d", CRC_32_BASE91_D),
    entry!("crc-32/bzip2", CRC_32_BZIP2),
    entry!("crc-32/cd-rom-edc", CRC_32_CD_ROM_EDC),
    entry!("crc-32/cksum", CRC_32_CKSUM),
    entry!("crc-32/iscsi", CRC_32_ISCSI),
    entry!("crc-32/iso-hdlc", CRC_32_ISO_HDLC),
    entry!("crc-32/jamcrc", CRC_32_JAMCRC),
    entry!("crc-32/mef", CRC_32_MEF),
    entry!("crc-32/mpeg-2", CRC_32_MPEG_2),
    entry!("crc-32/xfer", CRC_32_XFER),
    entry!("crc-3/gsm", CRC_3_GSM),
    entry!("crc-3/rohc", CRC_3_ROHC),
    entry!("crc-40/gsm", CRC_40_GSM),
    entry!("crc-4/g-704", CRC_4_G_704),
    entry!("crc-4/interlaken", CRC_4_INTERLAKEN),
    entry!("crc-5/epc-c1g2", CRC_5_EPC_C1G2),
    entry!("crc-5/g-704", CRC_5_G_704),
    entry!("crc-5/usb", CRC_5_USB),
    entry!("crc-64/ecma-182", CRC_64_ECMA_182),
    entry!("crc-64/go-iso", CRC_64_GO_ISO),
    entry!("crc-64/ms", CRC_64_MS),
    entry!("crc-64/nvme", CRC_64_NVME),
    entry!("crc-64/redis", CRC_64_REDIS),
    entry!("crc-64/we", CRC_64_WE),
    entry!("crc-64/xz", CRC_64_XZ),
    entry!("crc-6/cdma2000-a", CRC_6_CDMA2000_A),
    entry!("crc-6/cdma2000-b", CRC_6_CDMA2000_B),
    entry!("crc-6/darc", CRC_6_DARC),
    entry!("crc-6/gsm", CRC_6_GSM),
    entry!("crc-6/g-704", CRC_6_G_704),
    entry!("crc-7/mmc", CRC_7_MMC),
    entry!("crc-7/rohc", CRC_7_ROHC),
    entry!("crc-7/umts", CRC_7_UMTS),
    entry!("crc-8/autosar", CRC_8_AUTOSAR),
    entry!("crc-8/bluetooth", CRC_8_BLUETOOTH),
    entry!("crc-8/cdma2000", CRC_8_CDMA2000),
    entry!("crc-8/darc", CRC_8_DARC),
    entry!("crc-8/dvb-s2", CRC_8_DVB_S2),
    entry!("crc-8/gsm-a", CRC_8_GSM_A),
    entry!("crc-8/gsm-b", CRC_8_GSM_B),
    entry!("crc-8/hitag", CRC_8_HITAG),
    entry!("crc-8/i-432-1", CRC_8_I_432_1),
    entry!("crc-8/i-code", CRC_8_I_CODE),
    entry!("crc-8/lte", CRC_8_LTE),
    entry!("crc-8/maxim-dow", CRC_8_MAXIM_DOW),
    entry!("crc-8/mifare-mad", CRC_8_MIFARE_MAD),
    entry!("crc-8/nrsc-5", CRC_8_NRSC_5),
    entry!("crc-8/opensafety", CRC_8_OPENSAFETY),
    entry!("crc-8/rohc", CRC_8_ROHC),
    entry!("crc-8/sae-j1850", CRC_8_SAE_J1850),
    entry!("crc-8/smbus", CRC_8_SMBUS),
    entry!("crc-8/tech-3250", CRC_8_TECH_3250),
    entry!("crc-8/wcdma", CRC_8_WCDMA),
];

/// By its name in the catalogue, in small letters: `crc-16/ibm-sdlc`.
pub(super) fn find(name: &str) -> Option<Crc> {
    let name = name.to_ascii_lowercase();
    let entry = CATALOGUE.iter().find(|entry| entry.name == name)?;
    Some(Crc {
        name: entry.name,
        width: entry.width,
        poly: entry.poly,
        init: entry.init,
        reflect_in: entry.reflect_in,
        reflect_out: entry.reflect_out,
        xor_out: entry.xor_out,
    })
}

pub(super) fn names() -> impl Iterator<Item = &'static str> {
    CATALOGUE.iter().map(|entry| entry.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The catalogue says for each what it makes of the nine digits.
    #[test]
    fn every_entry_makes_its_check_value() {
        for entry in &CATALOGUE {
            let crc = find(entry.name).unwrap();
            assert_eq!(crc.of(b"123456789"), entry.check, "{}", entry.name);
        }
        assert_eq!(find("CRC-16/MODBUS").map(|crc| crc.of(b"123456789")), Some(0x4B37));
        assert!(find("crc-16/nobody").is_none());
    }
}
