//! A stream that only who knows the passphrase can read, and nobody can change unseen.
//!
//! ```text
//! magic · Argon2id: memory, passes, lanes · salt · check │ chunk │ chunk │ … │ last chunk
//! ```
//!
//! The key comes from the passphrase by Argon2id (RFC 9106, its second recommendation); 16 bytes more
//! of it tell a wrong passphrase from a damaged file. Chunks of 64 KiB are sealed with
//! ChaCha20-Poly1305 under their number, the last one under a mark of its own, and all with the head
//! as associated data: nothing can be left out, exchanged, added or cut off. A salt, and so a key, is
//! used for one file only.
//!
//! Why not the `age` crate: it says of itself that it is a beta, and brings 90 more crates, among them
//! post-quantum keys and translations, for what these lines do with two that are here already.

use std::io::{self, Read, Write};

use argon2::{Algorithm, Argon2, Block, Params, Version};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};

const MAGIC: &[u8; 20] = b"fieldhold backup  1\n";
/// What all versions begin with.
const FAMILY: usize = 16;
const SALT: usize = 16;
const CHECK: usize = 16;
const KEY: usize = 32;
const HEAD: usize = MAGIC.len() + 12 + SALT + CHECK;
const CHUNK: usize = 64 << 10;
const TAG: usize = 16;
/// KiB, passes, lanes: what RFC 9106 recommends where 2 GiB are too much.
const COST: [u32; 3] = [64 << 10, 3, 4];
/// A file may not ask for more, whoever made it.
const COST_MAX: [u32; 3] = [1 << 20, 32, 32];

#[derive(Debug, thiserror::Error)]
pub enum SealError {
    #[error("this is no backup of Fieldhold")]
    Foreign,
    #[error("this backup was made by a newer version of Fieldhold")]
    Newer,
    #[error("the passphrase is wrong")]
    Passphrase,
    #[error("the backup is damaged or incomplete")]
    Damaged,
    #[error("there is not enough memory to open it")]
    Memory,
    #[error("the system gives no random numbers")]
    NoRandomness,
    #[error(transparent)]
    Io(#[from] io::Error),
}

struct Cipher {
    key: LessSafeKey,
    head: Vec<u8>,
    number: u64,
}

impl Cipher {
    /// The key of this passphrase, and what tells it from others.
    fn of(
        passphrase: &[u8],
        cost: [u32; 3],
        salt: &[u8],
    ) -> Result<(LessSafeKey, [u8; CHECK]), SealError> {
        let [memory, passes, lanes] = cost;
        let mut bytes = [0; KEY + CHECK];
        let params = Params::new(memory, passes, lanes, Some(bytes.len()));
        let params = params.map_err(|_| SealError::Damaged)?;
        let hash = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let mut memory = Vec::new();
        let blocks = hash.params().block_count();
        memory.try_reserve_exact(blocks).map_err(|_| SealError::Memory)?;
        memory.resize(blocks, Block::default());
        hash.hash_password_into_with_memory(passphrase, salt, &mut bytes, &mut memory)
            .map_err(|_| SealError::Damaged)?;
        let (key, check) = bytes.split_at(KEY);
        let key = UnboundKey::new(&CHACHA20_POLY1305, key).map_err(|_| SealError::Damaged)?;
        let mut of = [0; CHECK];
        of.copy_from_slice(check);
        Ok((LessSafeKey::new(key), of))
    }

    /// Each number once, and the last chunk can't stand for another.
    fn nonce(&mut self, is_last: bool) -> Nonce {
        let mut nonce = [0; NONCE_LEN];
        for (to, from) in nonce.iter_mut().zip(self.number.to_le_bytes()) {
            *to = from;
        }
        if let Some(end) = nonce.last_mut() {
            *end = u8::from(is_last);
        }
        self.number += 1;
        Nonce::assume_unique_for_key(nonce)
    }
}

/// Seals what is written; nothing is complete before [`Sealing::finish`].
pub struct Sealing<W: Write> {
    cipher: Cipher,
    chunk: Vec<u8>,
    to: W,
}

impl<W: Write> Sealing<W> {
    pub fn new(passphrase: &[u8], to: W) -> Result<Self, SealError> {
        Self::with_cost(passphrase, COST, to)
    }

    fn with_cost(passphrase: &[u8], cost: [u32; 3], mut to: W) -> Result<Self, SealError> {
        let mut salt = [0; SALT];
        SystemRandom::new().fill(&mut salt).map_err(|_| SealError::NoRandomness)?;
        let (key, check) = Cipher::of(passphrase, cost, &salt)?;
        let mut head = MAGIC.to_vec();
        cost.iter().for_each(|number| head.extend(number.to_le_bytes()));
        head.extend(salt);
        head.extend(check);
        to.write_all(&head)?;
        Ok(Self { cipher: Cipher { key, head, number: 0 }, chunk: Vec::with_capacity(CHUNK), to })
    }

    fn seal(&mut self, is_last: bool) -> io::Result<()> {
        let nonce = self.cipher.nonce(is_last);
        let aad = Aad::from(&self.cipher.head);
        let sealed = self.cipher.key.seal_in_place_append_tag(nonce, aad, &mut self.chunk);
        sealed.map_err(|_| io::Error::other("can't seal"))?;
        self.to.write_all(&self.chunk)?;
        self.chunk.clear();
        Ok(())
    }

    pub fn finish(mut self) -> io::Result<W> {
        self.seal(true)?;
        self.to.flush()?;
        Ok(self.to)
    }
}

impl<W: Write> Write for Sealing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.chunk.len() == CHUNK {
            self.seal(false)?;
        }
        let taken = bytes.len().min(CHUNK - self.chunk.len());
        self.chunk.extend(bytes.iter().take(taken));
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads what was sealed; gives out nothing that was not checked.
pub struct Opening<R: Read> {
    cipher: Cipher,
    from: R,
    /// Read ahead, since the last chunk is known by what follows it.
    sealed: Vec<u8>,
    open: Vec<u8>,
    given: usize,
    is_over: bool,
}

impl<R: Read> Opening<R> {
    pub fn new(passphrase: &[u8], mut from: R) -> Result<Self, SealError> {
        let mut head = Vec::with_capacity(HEAD);
        from.by_ref().take(HEAD as u64).read_to_end(&mut head)?;
        if head.get(..FAMILY) != MAGIC.get(..FAMILY) {
            return Err(SealError::Foreign);
        }
        if head.get(..MAGIC.len()) != Some(MAGIC.as_slice()) {
            return Err(SealError::Newer);
        }
        let mut rest = head.get(MAGIC.len()..).unwrap_or_default();
        let mut take = |n: usize| -> Result<&[u8], SealError> {
            let (part, left) = rest.split_at_checked(n).ok_or(SealError::Damaged)?;
            rest = left;
            Ok(part)
        };
        let mut cost = [0; 3];
        for (number, most) in cost.iter_mut().zip(COST_MAX) {
            let bytes = take(4)?.try_into().map_err(|_| SealError::Damaged)?;
            *number = u32::from_le_bytes(bytes);
            if *number > most {
                return Err(SealError::Damaged);
            }
        }
        let salt = take(SALT)?.to_vec();
        let check = take(CHECK)?;
        let (key, of) = Cipher::of(passphrase, cost, &salt)?;
        if check != of {
            return Err(SealError::Passphrase);
        }
        let cipher = Cipher { key, head, number: 0 };
        let (sealed, open) = (Vec::new(), Vec::new());
        Ok(Self { cipher, from, sealed, open, given: 0, is_over: false })
    }

    fn next_chunk(&mut self) -> io::Result<()> {
        const WHOLE: usize = CHUNK + TAG;
        let missing = (WHOLE + 1).saturating_sub(self.sealed.len());
        self.from.by_ref().take(missing as u64).read_to_end(&mut self.sealed)?;
        let is_last = self.sealed.len() <= WHOLE;
        let ahead = self.sealed.split_off(self.sealed.len().min(WHOLE));
        let mut chunk = std::mem::replace(&mut self.sealed, ahead);
        let nonce = self.cipher.nonce(is_last);
        let aad = Aad::from(&self.cipher.head);
        let damaged = || io::Error::new(io::ErrorKind::InvalidData, SealError::Damaged);
        let open = self.cipher.key.open_in_place(nonce, aad, &mut chunk).map_err(|_| damaged())?;
        let length = open.len();
        chunk.truncate(length);
        (self.open, self.given, self.is_over) = (chunk, 0, is_last);
        Ok(())
    }
}

impl<R: Read> Read for Opening<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        while self.given == self.open.len() && !self.is_over {
            self.next_chunk()?;
        }
        let mut left = self.open.get(self.given..).unwrap_or_default();
        let n = left.read(to)?;
        self.given += n;
        Ok(n)
    }
}

/// What an error of a stream means here.
impl SealError {
    pub fn of(error: io::Error) -> Self {
        match error.downcast::<Self>() {
            Ok(own) => own,
            Err(other) => Self::Io(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHEAP: [u32; 3] = [64, 1, 1];
    const WORDS: &[u8] = b"tea for two";

    fn sealed(content: &[u8]) -> Vec<u8> {
        let mut sealing = Sealing::with_cost(WORDS, CHEAP, Vec::new()).unwrap();
        sealing.write_all(content).unwrap();
        sealing.finish().unwrap()
    }

    fn open(bytes: &[u8]) -> Result<Vec<u8>, SealError> {
        let mut content = Vec::new();
        let mut opening = Opening::new(WORDS, bytes)?;
        opening.read_to_end(&mut content).map_err(SealError::of)?;
        Ok(content)
    }

    #[test]
    fn what_was_sealed_is_opened_whatever_its_length() {
        for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 3 * CHUNK + 7] {
            let content: Vec<u8> = (0..length).map(|i| u8::try_from(i % 251).unwrap()).collect();
            let file = sealed(&content);
            assert_eq!(open(&file).unwrap(), content, "{length}");
            assert!(length < 8 || !file.windows(8).any(|part| part == &content[..8]));
        }
        assert_ne!(sealed(b"x"), sealed(b"x"), "no two are the same");
    }

    #[test]
    fn nothing_that_was_changed_is_opened() {
        let content = vec![7; 2 * CHUNK + 100];
        let file = sealed(&content);
        for at in (0..file.len()).step_by(997).chain([
            0,
            FAMILY,
            21,
            25,
            29,
            33,
            49,
            HEAD,
            file.len() - 1,
        ]) {
            let mut changed = file.clone();
            changed[at] ^= 1;
            assert!(open(&changed).is_err(), "byte {at}");
        }
        let chunk = CHUNK + TAG;
        let mut swapped = file.clone();
        swapped[HEAD..HEAD + 2 * chunk].rotate_left(chunk);
        let without_one = [&file[..HEAD], &file[HEAD + chunk..]].concat();
        let longer = [file.as_slice(), b"x"].concat();
        for changed in [
            &swapped,
            &without_one,
            &longer,
            &file[..HEAD + chunk].to_vec(),
            &file[..file.len() - 1].to_vec(),
        ] {
            assert!(matches!(open(changed), Err(SealError::Damaged)));
        }
    }

    #[test]
    fn what_is_wrong_is_told_apart() {
        let file = sealed(b"content");
        assert!(matches!(Opening::new(b"tea for three", &*file), Err(SealError::Passphrase)));
        assert!(matches!(
            open(b"PK\x03\x04 a zip file, or whatever it may be, and a long one"),
            Err(SealError::Foreign)
        ));
        assert!(matches!(open(b""), Err(SealError::Foreign)));
        let newer = [b"fieldhold backup 27\n".as_slice(), &file[20..]].concat();
        assert!(matches!(open(&newer), Err(SealError::Newer)));
        let mut dear = file.clone();
        dear[23] = 0xFF;
        assert!(matches!(open(&dear), Err(SealError::Damaged)), "four terabytes of memory");
        assert!(matches!(open(&file[..30]), Err(SealError::Damaged)));
    }
}
